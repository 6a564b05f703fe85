// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/peer/targets/uri.h"

#include <gtest/gtest.h>

#include <string>

namespace nbdspec::conformance {
namespace {

TEST(ParseNbdUri, TakesTcpUrisApart) {
  const struct {
    std::string_view text;
    NbdUri uri;
  } kCases[] = {
      // The examples of doc/uri.md.
      {"nbd://example.com:10809/export", {.host = "example.com", .export_name = "export"}},
      {"nbd://example.com/disk", {.host = "example.com", .export_name = "disk"}},
      {"nbd://example.com/", {.host = "example.com"}},
      {"nbd://example.com", {.host = "example.com"}},
      {"nbd://example.com//disk", {.host = "example.com", .export_name = "/disk"}},
      {"nbd://example.com/hello%20world", {.host = "example.com", .export_name = "hello world"}},
      // Edges.
      {"nbd://", {}},
      {"nbd:///d", {.export_name = "d"}},
      {"nbd://:1/", {.port = 1}},
      {"NBD://h:65535", {.host = "h", .port = 65535}},
      {"nbd://h:/", {.host = "h"}},
      {"nbd://h?", {.host = "h"}},
      {"nbd://h/?&&", {.host = "h"}},
      {"nbd://127.0.0.1:1", {.host = "127.0.0.1", .port = 1}},
      {"nbd://[::1]", {.host = "::1"}},
      {"nbd://[2001:db8::1]:2/a/b", {.host = "2001:db8::1", .port = 2, .export_name = "a/b"}},
      {"nbd://ex%61mple/%2F%e2%82%AC+", {.host = "example", .export_name = "/\xe2\x82\xac+"}},
      {"nbd://h/a:b@c", {.host = "h", .export_name = "a:b@c"}},
  };
  for (const auto& [text, expected] : kCases) {
    const auto uri = ParseNbdUri(text);
    ASSERT_TRUE(uri.has_value()) << uri.error().sentence;
    EXPECT_EQ(*uri, expected) << text;
  }
}

TEST(ParseNbdUri, TakesUnixUrisApart) {
  using namespace std::string_literals;
  const struct {
    std::string_view text;
    std::string socket_path;
    std::string export_name;
  } kCases[] = {
      {"nbd+unix:///disk?socket=sock", "sock", "disk"},
      {"nbd+unix:///?socket=/run/nbd.sock", "/run/nbd.sock", ""},
      {"nbd+unix://?socket=/s", "/s", ""},
      {"nbd+unix:///a%3Fb?socket=/a%20b", "/a b", "a?b"},
      {"nbd+unix:////?socket=a=b", "a=b", "/"},
      {"Nbd+Unix:///?&socket=/s&", "/s", ""},
      {"nbd+unix:///?%73ocket=/s", "/s", ""},
      {"nbd+unix:///?socket=%00/abstract", "\0/abstract"s, ""},
  };
  for (const auto& [text, socket_path, export_name] : kCases) {
    const auto uri = ParseNbdUri(text);
    ASSERT_TRUE(uri.has_value()) << uri.error().sentence;
    EXPECT_EQ(uri->socket_path, socket_path) << text;
    EXPECT_EQ(uri->export_name, export_name) << text;
  }
}

TEST(ParseNbdUri, SaysWhatIsWantedOfTls) {
  EXPECT_EQ(ParseNbdUri("nbds://h")->tls, TlsWish{.is_wanted = true});
  EXPECT_EQ(ParseNbdUri("NBDS+unix:///?socket=/s")->tls, TlsWish{.is_wanted = true});
  EXPECT_FALSE(ParseNbdUri("nbd://h")->tls.is_wanted);
  const auto shared_key = ParseNbdUri("nbds://me@h:7/x?tls-psk-file=/k%20s");
  EXPECT_EQ(shared_key->tls, (TlsWish{.is_wanted = true, .shared_keys = "/k s", .shared_key_name = "me"}));
  EXPECT_EQ(shared_key->host, "h");
  EXPECT_EQ(shared_key->port, 7);
  EXPECT_EQ(ParseNbdUri("nbds+unix:///?socket=/s&tls-certificates=/c&tls-hostname=n")->tls,
            (TlsWish{.is_wanted = true, .certificates = "/c", .host = "n"}));
}

TEST(ParseNbdUri, NamesThePartThatIsWrong) {
  const struct {
    std::string text;
    std::string_view why;
  } kCases[] = {
      {"", "no scheme"},
      {"/run/nbd.sock", "no scheme"},
      {"nbd:unix:/s", "no scheme"},
      {"http://h/", "scheme \"http\" is not known"},
      {"://h/", "scheme \"\" is not known"},
      {"nbd+vsock:///", "vsock, which is not supported yet"},
      {"nbds+vsock:///", "vsock, which is not supported yet"},
      {"nbd://me@h/", "user name"},
      {"nbd://h:0/", "port \"0\""},
      {"nbd://h:65536/", "port \"65536\""},
      {"nbd://h:-1/", "port \"-1\""},
      {"nbd://h:1x/", "port \"1x\""},
      {"nbd://h:%31/", "port \"%31\""},
      {"nbd://::1/", "port \":1\""},
      {"nbd://[::1/", "closing bracket"},
      {"nbd://[::1]1/", "closing bracket"},
      {"nbd://[1.2.3.4]/", "no IPv6 address"},
      {"nbd://[]/", "no IPv6 address"},
      {"nbd://[fe80::1%25eth0]/", "no IPv6 address"},
      {"nbd://a%00b/", "host \"a"},
      {"nbd://a b/", "the host has the character \" \""},
      {"nbd://h%2/", "the host has a %"},
      {"nbd://h/%", "the export name has a %"},
      {"nbd://h/%4", "the export name has a %"},
      {"nbd://h/%4g", "the export name has a %"},
      {"nbd://h/%+4", "the export name has a %"},
      {"nbd://h/%-4", "the export name has a %"},
      {"nbd://h/a b", "the export name has the character \" \""},
      {"nbd://h/a\n", "the export name has the character \"\\n\""},
      {"nbd://h/\xc3\xa9", "the export name has the character"},
      {"nbd://h/[1]", "the export name has the character \"[\""},
      {"nbd://h/%00", "the export name has a %00"},
      {"nbd://h/" + std::string(4097, 'x'), "the export name has 4097 bytes"},
      {"nbd://h/#1", "fragment"},
      {"nbd://h/?socket=/s", "not with nbd://"},
      {"nbd://h/?tls-type=psk", "\"tls-type\" is not known"},
      {"nbd://h/?tls-psk-file=/k", "\"tls-psk-file\" is for TLS"},
      {"nbds://h/?socket=/s", "not with nbd://"},
      {"nbd://h/?x-new=1", "\"x-new\" is not known"},
      {"nbd://h/?sokcet", "\"sokcet\" is not known"},
      {"nbd://h/?%zz=1", "the name of a query parameter has a %"},
      {"nbd+unix://run/nbd.sock", "three slashes"},
      {"nbd+unix:///d", "no socket parameter"},
      {"nbd+unix:///d?", "no socket parameter"},
      {"nbd+unix:///d?socket", "socket parameter is empty"},
      {"nbd+unix:///d?socket=", "socket parameter is empty"},
      {"nbd+unix:///d?socket=%00", "socket parameter is empty"},
      {"nbd+unix:///d?socket=/a&socket=/a", "given twice"},
      {"nbd+unix:///d?socket=/a%00b", "%00 that is not its first"},
      {"nbd+unix:///d?socket=/a%", "the socket parameter has a %"},
      {"nbd+unix:///d?socket=/" + std::string(107, 'x'), "108 bytes, more than the 107"},
  };
  for (const auto& [text, why] : kCases) {
    const auto uri = ParseNbdUri(text);
    ASSERT_FALSE(uri.has_value()) << text;
    EXPECT_TRUE(uri.error().sentence.contains(why)) << uri.error().sentence;
    EXPECT_TRUE(uri.error().sentence.ends_with('.')) << uri.error().sentence;
    EXPECT_FALSE(uri.error().sentence.contains('\n')) << uri.error().sentence;
  }
}

TEST(ParseNbdUri, TakesTheLongestNames) {
  const auto uri = ParseNbdUri("nbd+unix:///" + std::string(4096, 'x') + "?socket=/" + std::string(106, 'y'));
  ASSERT_TRUE(uri.has_value()) << uri.error().sentence;
  EXPECT_EQ(uri->export_name.size(), 4096U);
  EXPECT_EQ(uri->socket_path.size(), 107U);
}

TEST(ParseNbdUri, EndsOnEveryPrefixOfAUri) {
  // Run under sanitizers: no prefix and no cut escape may read past the end.
  const std::string_view whole = "nbd+unix:///a%20b?socket=%2Frun%2fs&socket=%00";
  int parsed_count = 0;
  for (std::size_t length = 0; length <= whole.size(); ++length) {
    const std::string prefix(whole.substr(0, length));
    parsed_count += ParseNbdUri(prefix).has_value() ? 1 : 0;
  }
  // From the first whole byte of the socket's path up to and with "&", without the cuts inside %2f.
  EXPECT_EQ(parsed_count, 7);
}

}  // namespace
}  // namespace nbdspec::conformance
