// SPDX-License-Identifier: BSD-3-Clause
// The servers nbdspec starts: those that it knows by name, as Debian packages them (this machine's, or another
// release's: other_debian.h), each serving the image of started_peer.h, and those that the user gives a command for.
//
// - nbdkit: the file plugin, whose extents are exactly the file's, with as many threads as it takes by itself. Without
//   --exit-with-parent, which would replace the guardian's SIGKILL by a SIGTERM that nbdkit puts off.
// - nbdkit:extents: the same server with our own plugin (engine/nbdkit), which answers from the engine's ExtentMap.
// - nbdkit:nbd: the same server with its nbd plugin, which stores its bytes on another NBD server: ours.
// With TLS it knows its clients by their certificates, or by a shared key.
// - qemu-nbd: -t, or our first connection would be its last; --shared=0, or a second client would wait without end.
//   Of a large image zeroing and TRIM make holes (--discard=unmap), or gigabytes of it would be allocated.
// - qemu-nbd:qcow2: the same with the image in a qcow2 file.
// - nbd-server: its exports have names only, so ours is "d"; flush, FUA and trim are off unless asked for.

#include <algorithm>
#include <array>
#include <filesystem>
#include <iterator>
#include <optional>
#include <sstream>
#include <system_error>
#include <utility>

#include "conformance/peer/process/process.h"
#include "conformance/peer/target.h"
#include "conformance/peer/targets/other_debian.h"
#include "conformance/peer/targets/started_peer.h"
#include "conformance/peer/targets/tls_files.h"
#include "conformance/tls/certificates.h"
#include "engine/base/or_return.h"
#include "engine/base/quoted.h"

namespace nbdspec::conformance {

namespace {

using engine::Trouble;
using Words = std::vector<std::string>;
using WordsOrTrouble = std::expected<Words, Trouble>;

constexpr std::chrono::seconds kVersionWait{5};

struct NamedServer {
  std::string_view name;
  std::string_view program;
  std::string_view package;  // Debian's.
  std::string_view version_flag;
  std::string_view kind;  // What it serves the image with, for reports; may be empty.
  std::string_view export_name;
  bool can_be_strict;  // Setup::kStrictBlockSize.
  bool can_offer_tls;  // Setup::kTlsOffered. All can demand it.
  TakesDisk takes_disk;
  WordsOrTrouble (*command)(Setup setup, const PrivateDirectory& directory, ServerPlace& place);
  Words (*format)(const std::string& image, const std::string& disk) = nullptr;
  Words (*check)(const std::string& disk) = nullptr;
};

// nbdkit with `plugin` and its parameters.
Words NbdkitWith(const Words& plugin, Setup setup, const PrivateDirectory& directory, ServerPlace& place) {
  Words words = {"nbdkit", "-f", "-U", directory.socket_path(), "-P", directory.PathOf("pid")};
  if (place.has_tls()) {
    words.emplace_back(setup == Setup::kTlsOffered ? "--tls=on" : "--tls=require");
    if (!place.shared_keys.empty()) {
      words.push_back("--tls-psk=" + place.shared_keys);
    } else {
      words.insert(words.end(), {"--tls-certificates=" + place.certificates, "--tls-verify-peer"});
    }
  }
  if (setup == Setup::kReadOnly) {
    words.emplace_back("-r");
  }
  if (setup == Setup::kStrictBlockSize) {
    words.emplace_back("--filter=blocksize-policy");
  }
  words.insert(words.end(), plugin.begin(), plugin.end());
  if (setup == Setup::kStrictBlockSize) {
    words.insert(words.end(), {"blocksize-minimum=4096", "blocksize-preferred=4096", "blocksize-maximum=32M",
                               "blocksize-error-policy=error"});
  }
  return words;
}

WordsOrTrouble NbdkitCommand(Setup setup, const PrivateDirectory& directory, ServerPlace& place) {
  return NbdkitWith({"file", "file=" + place.disk}, setup, directory, place);
}

WordsOrTrouble NbdkitNbdCommand(Setup setup, const PrivateDirectory& directory, ServerPlace& place) {
  return NbdkitWith({"nbd", "uri=" + place.disk}, setup, directory, place);
}

// The image as a script: the plugin's data bytes are the image's.
std::string ImageScript(Setup setup) {
  const auto add = [](engine::ByteRange range, std::string_view type) {
    return "add " + std::to_string(range.begin) + " +" + std::to_string(range.length()) + " " + std::string(type) +
           "\n";
  };
  std::string text = "size " + std::to_string(ImageSize(setup)) + "\ninitial hole,zero\n";
  for (const engine::ByteRange data : ImageData(setup)) {
    text += add(data, "data");
  }
  return text + add(kImageWrittenZeroes, "zero");
}

WordsOrTrouble NbdkitExtentsCommand(Setup setup, const PrivateDirectory& directory, ServerPlace& place) {
  NBDSPEC_ASSIGN_OR_RETURN(plugin, FindNbdkitModule(kExtentsPlugin));
  return NbdkitWith({plugin, "script-text=" + ImageScript(setup)}, setup, directory, place);
}

// A comma ends a value of qemu's options, unless it is doubled.
std::string QemuValue(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    escaped += c == ',' ? ",," : std::string(1, c);
  }
  return escaped;
}

std::expected<void, Trouble> CopyKeysForQemu(const std::string& keys, const std::string& directory) {
  const std::string path = directory + "/keys.psk";  // The name that qemu looks for.
  std::error_code failed;
  std::filesystem::copy_file(keys, path, failed);
  if (failed) {
    return std::unexpected(Trouble{"Cannot copy " + engine::Quoted(keys, 200) + " to " + engine::Quoted(path, 200) +
                                   ": " + failed.message() + "."});
  }
  return WriteDhParameters(directory);
}

WordsOrTrouble QemuNbdWords(const PrivateDirectory& directory, ServerPlace& place) {
  Words words = {"qemu-nbd", "-t", "--shared=0", "-k", directory.socket_path(), "-x", ""};
  if (!place.shared_keys.empty()) {
    place.prepare = [keys = place.shared_keys, path = directory.path()] { return CopyKeysForQemu(keys, path); };
    words.insert(words.end(), {"--object", "tls-creds-psk,id=tls0,endpoint=server,dir=" + QemuValue(directory.path()),
                               "--tls-creds", "tls0"});
  } else if (place.has_tls()) {
    words.insert(
        words.end(),
        {"--object", "tls-creds-x509,id=tls0,endpoint=server,verify-peer=yes,dir=" + QemuValue(place.certificates),
         "--tls-creds", "tls0"});
  }
  return words;
}

WordsOrTrouble QemuNbdWith(std::string_view format, Setup setup, const PrivateDirectory& directory,
                           ServerPlace& place) {
  NBDSPEC_ASSIGN_OR_RETURN(words, QemuNbdWords(directory, place));
  words.insert(words.end(), {"-f", std::string(format)});
  if (setup == Setup::kLarge) {
    words.emplace_back("--discard=unmap");
  }
  if (setup == Setup::kReadOnly) {
    words.emplace_back("-r");
  }
  words.push_back(place.disk);
  return std::move(words);
}

WordsOrTrouble QemuNbdCommand(Setup setup, const PrivateDirectory& directory, ServerPlace& place) {
  if (setup == Setup::kStrictBlockSize) {  // Only through a driver that asks for it can a file have large blocks.
    NBDSPEC_ASSIGN_OR_RETURN(words, QemuNbdWords(directory, place));
    words.insert(words.end(), {"--image-opts",
                               "driver=blkdebug,align=4096,image.driver=raw,image.file.driver=file,"
                               "image.file.filename=" +
                                   QemuValue(place.disk)});
    return std::move(words);
  }
  return QemuNbdWith("raw", setup, directory, place);
}

WordsOrTrouble QemuNbdQcow2Command(Setup setup, const PrivateDirectory& directory, ServerPlace& place) {
  return QemuNbdWith("qcow2", setup, directory, place);
}

Words Qcow2Format(const std::string& image, const std::string& disk) {
  return {"qemu-img", "convert", "-f", "raw", "-O", "qcow2", image, disk};
}

constexpr int kQemuImgDamaged = 2;  // 3: space that nothing uses.

Words Qcow2Check(const std::string& disk) { return {"qemu-img", "check", "-f", "qcow2", disk}; }

WordsOrTrouble NbdServerCommand(Setup setup, const PrivateDirectory& directory, ServerPlace& place) {
  // It replaces %s in an export's name, and its file format has backslash escapes.
  if (directory.path().find_first_of("%\\\n") != std::string::npos) {
    return std::unexpected(Trouble{"nbd-server cannot use the directory " + engine::Quoted(directory.path(), 200) +
                                   ": set TMPDIR to one without %, backslash and newline in its path."});
  }
  if (!place.shared_keys.empty()) {
    return std::unexpected(Trouble{"nbd-server has no TLS by shared keys: use certificates."});
  }
  const std::string tls =
      !place.has_tls() ? ""
                       : "\ncertfile = " + place.certificates + "/server-cert.pem\nkeyfile = " + place.certificates +
                             "/server-key.pem\ncacertfile = " + place.certificates +
                             "/ca-cert.pem\nforce_tls = " + (setup == Setup::kTlsOffered ? "false" : "true");
  // The port must be there and not be 0, although with a unix socket it is not listened on.
  const std::string config_path = directory.PathOf("config");
  const std::string config =
      "[generic]\nlistenaddr = 127.0.0.1\nport = 10809\nallowlist = true\nunixsock = " + directory.socket_path() + tls +
      "\n[d]\nexportname = " + place.disk +
      "\nflush = true\nfua = true\ntrim = true\nreadonly = " + (setup == Setup::kReadOnly ? "true" : "false") + "\n";
  place.prepare = [config_path, config] { return WriteNewFile(config_path, config); };
  return Words{"nbd-server", "-C", config_path, "-p", directory.PathOf("pid")};
}

constexpr std::array<NamedServer, 6> kServers = {{
    {"nbdkit", "nbdkit", "nbdkit", "--version", "file", "", true, true, TakesDisk::kFile, NbdkitCommand},
    {"nbdkit:extents", "nbdkit", "nbdkit", "--version", "script", "", true, true, TakesDisk::kNothing,
     NbdkitExtentsCommand},
    {"nbdkit:nbd", "nbdkit", "nbdkit", "--version", "nbd", "", true, true, TakesDisk::kUri, NbdkitNbdCommand},
    {"qemu-nbd", "qemu-nbd", "qemu-utils", "--version", "raw", "", true, false, TakesDisk::kFileOrUri, QemuNbdCommand},
    {"qemu-nbd:qcow2", "qemu-nbd", "qemu-utils", "--version", "qcow2", "", false, false, TakesDisk::kFileOrUri,
     QemuNbdQcow2Command, Qcow2Format, Qcow2Check},
    {"nbd-server", "nbd-server", "nbd-server", "-V", "", "d", false, true, TakesDisk::kFile, NbdServerCommand},
}};

// "nbdkit, qemu-nbd and nbd-server".
std::string AllNames() {
  std::string names;
  for (const NamedServer& server : kServers) {
    names += &server == &kServers.front() ? "" : &server == &kServers.back() ? " and " : ", ";
    names += server.name;
  }
  return names;
}

// `words` of a command, its program the one of `suite`.
Words InSuite(std::string_view suite, Words words) {
  if (!suite.empty()) {
    words.front() = PathInSuite(suite, words.front());
  }
  return words;
}

Trouble NotInstalled(const NamedServer& server, const std::string& suite) {
  const std::string program(server.program);
  return Trouble{suite.empty()
                     ? program + " is not installed: run ./setup, or apt install " + std::string(server.package) + "."
                     : "There is no " + engine::Quoted(PathInSuite(suite, program), 200) + ": run tools/other_debian " +
                           suite + ", which unpacks the servers of that Debian release."};
}

// The first word of what `program` says of itself that begins with a digit: "1.32.5". Empty when it says nothing such.
std::string VersionOf(const std::string& program, std::string_view version_flag) {
  auto directory = PrivateDirectory::Choose();
  if (!directory) {
    return {};
  }
  const auto process = ServerProcess::Start({program, std::string(version_flag)}, *std::move(directory));
  if (!process || !(*process)->EndedBy(Transport::Clock::now() + kVersionWait)) {
    return {};
  }
  std::istringstream words((*process)->LastWords());
  for (std::string word; words >> word;) {
    if (word[0] >= '0' && word[0] <= '9') {
      return word;
    }
  }
  return {};
}

struct StartedProgram {
  std::string path;
  const NamedServer* server = nullptr;
  Words words = {};  // After its name.
};

std::string_view BaseOf(std::string_view path) { return path.substr(path.rfind('/') + 1); }

std::optional<StartedProgram> KnownProgramAt(std::span<const std::string> words) {
  const auto* const server = std::ranges::find(kServers, BaseOf(words.front()), &NamedServer::program);
  return server == kServers.end()
             ? std::nullopt
             : std::optional(
                   StartedProgram{.path = words.front(), .server = server, .words = {words.begin() + 1, words.end()}});
}

// The commands in a text for a shell, as far as blanks and separators show them: words and "exec" before them, and
// settings of variables, left out.
std::vector<Words> CommandsIn(std::string text) {
  for (const std::string_view separator : {"&&", "||", ";", "\n", "|"}) {
    text = Filled(std::move(text), separator, " \n ");
  }
  std::vector<Words> commands;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream parts(line);
    Words words(std::istream_iterator<std::string>(parts), {});
    const auto begins =
        std::ranges::find_if(words, [](const std::string& word) { return word != "exec" && !word.contains('='); });
    words.erase(words.begin(), begins);
    if (!words.empty()) {
      commands.push_back(std::move(words));
    }
  }
  return commands;
}

// The program that a command starts, where that is one that nbdspec knows: its first word, or, of a shell, that of a
// command in its text. Anything else may run it elsewhere.
std::optional<StartedProgram> KnownProgramIn(const Words& words) {
  const std::string_view first = BaseOf(words.front());
  if (first != "sh" && first != "bash") {
    return KnownProgramAt(words);
  }
  const auto is_text_next = [](const std::string& word) { return word.starts_with("-") && word.ends_with("c"); };
  const auto option = std::ranges::find_if(words, is_text_next);
  if (option == words.end() || std::next(option) == words.end()) {
    return {};
  }
  for (const Words& command : CommandsIn(*std::next(option))) {
    if (auto known = KnownProgramAt(command)) {
      return known;
    }
  }
  return {};
}

constexpr std::string_view kSocketPlaceholder = "{socket}";
constexpr std::string_view kPortPlaceholder = "{port}";
constexpr std::string_view kSizePlaceholder = "{size}";
constexpr std::string_view kExportPlaceholder = "{export}";
constexpr std::string_view kImagePlaceholder = "{image}";
constexpr std::string_view kUriPlaceholder = "{image-uri}";
constexpr std::string_view kCertificatesPlaceholder = "{certs}";

// What clients show a server that nbdspec starts.
std::expected<TlsCredentials, Trouble> ClientOf(const TlsWish& tls) {
  const bool is_made_for_the_run = tls.certificates.empty() && tls.shared_keys.empty();
  return is_made_for_the_run ? TheTlsMaterial().OfClient() : CredentialsFrom(tls);
}

}  // namespace

std::vector<std::string_view> ServerNames() {
  std::vector<std::string_view> names;
  std::ranges::transform(kServers, std::back_inserter(names), &NamedServer::name);
  return names;
}

bool IsServerName(std::string_view name) {
  return std::ranges::find(kServers, SplitAtSuite(name).name, &NamedServer::name) != kServers.end();
}

TargetOrTrouble TargetFromName(std::string_view name, const StartOptions& options) {
  const auto [plain_name, suite_given] = SplitAtSuite(name);
  const std::string suite(suite_given);
  const auto* const server = std::ranges::find(kServers, plain_name, &NamedServer::name);
  if (server == kServers.end()) {
    return std::unexpected(Trouble{"There is no server named " + engine::Quoted(name) + "; known are " + AllNames() +
                                   ", each also of another Debian release, as in nbdkit@trixie. Others are reached by "
                                   "an NBD URI, or started with --spawn."});
  }
  const std::string version = suite.empty() ? VersionOf(std::string(server->program), server->version_flag)
                                            : VersionInSuite(suite, server->package);
  const std::string kind = server->kind.empty() ? "" : " (" + std::string(server->kind) + ")";
  TargetFacts facts = {.description = std::string(name) + (version.empty() ? "" : " " + version) + kind,
                       .command_line = std::string(name),
                       .program = std::string(server->program),
                       .program_words = {"--format=" + std::string(server->kind)},
                       .version = version,
                       .export_name = std::string(server->export_name),
                       .has_tls = options.tls.is_wanted,
                       .setups = {Setup::kWritable, Setup::kReadOnly, Setup::kLarge, Setup::kTlsDemanded}};
  if (server->can_be_strict) {
    facts.setups.push_back(Setup::kStrictBlockSize);
  }
  if (server->can_offer_tls) {
    facts.setups.push_back(Setup::kTlsOffered);
  }
  NBDSPEC_ASSIGN_OR_RETURN(client, ClientOf(options.tls));
  if (options.power_cut && server->takes_disk != TakesDisk::kNothing) {
    facts.setups.push_back(Setup::kOnStorage);
  }
  ServerRecipe recipe = {
      .name = std::string(name),
      .command = [server, suite](Setup setup, const PrivateDirectory& directory, ServerPlace& place) -> WordsOrTrouble {
        if (!FindExecutable(InSuite(suite, {std::string(server->program)}).front())) {
          return std::unexpected(NotInstalled(*server, suite));
        }
        NBDSPEC_ASSIGN_OR_RETURN(words, server->command(setup, directory, place));
        return InSuite(suite, words);
      },
      .takes_disk = server->takes_disk,
      .damaged_status = kQemuImgDamaged,
      .damage_word = "ERROR",
      .can_lose_end = true,
      .tls = options.tls,
      .client = client};
  if (server->format != nullptr) {
    recipe.format = [server, suite](const std::string& image, const std::string& disk) {
      return InSuite(suite, server->format(image, disk));
    };
  }
  if (server->check != nullptr) {
    recipe.check = [server, suite](const std::string& disk) { return InSuite(suite, server->check(disk)); };
  }
  return StartedTarget(facts, std::move(recipe));
}

TargetOrTrouble TargetFromSpawn(std::string_view command, std::string_view export_name, const StartOptions& options) {
  NBDSPEC_ASSIGN_OR_RETURN(words, SplitCommand(command));
  const auto contain = [&words](std::string_view placeholder) {
    return std::ranges::any_of(words, [&](const std::string& word) { return word.contains(placeholder); });
  };
  const bool is_on_tcp = contain(kPortPlaceholder);
  if (contain(kSocketPlaceholder) == is_on_tcp) {
    return std::unexpected(Trouble{
        "The command " + engine::Quoted(command, 200) +
        (is_on_tcp ? " has both {socket} and {port}: nbdspec meets the server on one of them, so write only that."
                   : " has no {socket}: write it where the server takes the path of the unix socket to listen "
                     "on, or {port} for a TCP port of 127.0.0.1.")});
  }
  if (contain(kExportPlaceholder) && export_name.empty()) {
    return std::unexpected(Trouble{"The command " + engine::Quoted(command, 200) +
                                   " has {export}: say with --export what its export is to be called."});
  }
  if (contain(kImagePlaceholder) && contain(kUriPlaceholder)) {
    return std::unexpected(Trouble{"The command " + engine::Quoted(command, 200) + " has both {image} and " +
                                   "{image-uri}: the server has one disk, so write only one of them."});
  }
  TlsWish tls = options.tls;
  if (contain(kCertificatesPlaceholder) != (tls.is_wanted && tls.shared_keys.empty())) {
    return std::unexpected(Trouble{
        "The command " + engine::Quoted(command, 200) +
        (tls.is_wanted ? " has no {certs}: write it where the server takes the directory of its certificates, or give "
                         "a file of shared keys with --tls-psk."
                       : " has {certs}: add --tls, for conversations inside TLS.")});
  }
  NBDSPEC_ASSIGN_OR_RETURN(client, ClientOf(tls));
  const TakesDisk takes_disk = contain(kUriPlaceholder)     ? TakesDisk::kUri
                               : contain(kImagePlaceholder) ? TakesDisk::kFile
                                                            : TakesDisk::kNothing;
  const std::string export_words = export_name.empty() ? "" : " --export " + QuoteWord(export_name);
  TargetFacts facts = {.description = std::string(command),
                       .command_line = "--spawn " + QuoteWord(command) + export_words,
                       .export_name = std::string(export_name),
                       .has_tls = options.tls.is_wanted,
                       .may_share_contents = takes_disk == TakesDisk::kNothing};
  if (const auto started = KnownProgramIn(words)) {
    facts.program = started->server->program;
    facts.program_words = started->words;
    facts.version = VersionOf(started->path, started->server->version_flag);
  }
  if (contain(kImagePlaceholder) || contain(kUriPlaceholder)) {
    facts.setups.push_back(Setup::kLarge);
  }
  if (options.power_cut && takes_disk != TakesDisk::kNothing) {
    facts.setups.push_back(Setup::kOnStorage);
  }
  return StartedTarget(
      facts, {.name = words.front(),
              .command = [words, export_name = std::string(export_name)](Setup setup, const PrivateDirectory& directory,
                                                                         ServerPlace& place) -> WordsOrTrouble {
                Words replaced;
                for (std::string word : words) {
                  for (const auto& [placeholder, value] : {std::pair{kImagePlaceholder, place.disk},
                                                           {kUriPlaceholder, place.disk},
                                                           {kCertificatesPlaceholder, place.certificates},
                                                           {kPortPlaceholder, std::to_string(place.port)},
                                                           {kSizePlaceholder, std::to_string(ImageSize(setup))},
                                                           {kExportPlaceholder, export_name},
                                                           {kSocketPlaceholder, directory.socket_path()}}) {
                    word = Filled(std::move(word), placeholder, value);
                  }
                  replaced.push_back(std::move(word));
                }
                return replaced;
              },
              .takes_disk = takes_disk,
              .tls = tls,
              .client = client,
              .is_on_tcp = is_on_tcp,
              .must_greet = false});
}

}  // namespace nbdspec::conformance
