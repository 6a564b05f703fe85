// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/inputs/fresh_inputs.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "engine/base/byte_reader.h"
#include "engine/script/script.h"
#include "engine/script/script_bytes.h"
#include "engine/wire/messages.h"
#include "engine/wire/payloads.h"
#include "fuzz/inputs/script_mutator.h"

namespace nbdspec::fuzz {
namespace {

using engine::Bytes;
using engine::HeaderForm;
using engine::Pick;

Bytes FromText(std::string_view text) { return {text.begin(), text.end()}; }

// --- Wire ---

Bytes AnyBytes(std::size_t count, Random& random) {
  Bytes bytes(count);
  random.Fill(bytes);
  return bytes;
}

// Short ones, and those at the limits of wire_decode.
Bytes AnyPayload(Random& random) {
  return AnyBytes(random.OneIn(2) ? random.Below(24) : Pick(random(), {0U, 16U, 40U}) + random.Below(2), random);
}

// Right ones for the most part, and any number of its bits at times.
template <typename Number>
Number AnyCode(std::uint64_t likely, Random& random) {
  return static_cast<Number>(random.OneIn(6) ? random() : random.Below(likely));
}

// Of lengths and offsets: some have few bits, others all.
std::uint64_t AnyNumber(Random& random) { return random() >> random.Below(64); }

// Payloads that have another layout in the extended form, whole for the most part.
Bytes AnyExtendedStatus(Random& random) {
  engine::BlockStatus status = {.form = HeaderForm::kExtended, .context_id = AnyCode<std::uint32_t>(4, random)};
  for (std::uint64_t left = random.Below(4); left > 0; --left) {
    status.descriptors.push_back({.length = AnyNumber(random), .status = AnyNumber(random)});
  }
  if (random.OneIn(3)) {
    status.count_field = AnyCode<std::uint32_t>(4, random);
  }
  return engine::EncodePayload(status);
}

Bytes AnyStatusQuery(Random& random) {
  engine::StatusQuery query = {.length = AnyNumber(random)};
  for (std::uint64_t left = random.Below(4); left > 0; --left) {
    query.context_ids.push_back(AnyCode<std::uint32_t>(4, random));
  }
  Bytes payload = engine::EncodePayload(query);
  payload.resize(payload.size() - (random.OneIn(4) ? 1 + random.Below(3) : 0));
  return payload;
}

engine::Chunk AnyExtendedChunk(Random& random) {
  engine::Chunk chunk = {.form = HeaderForm::kExtended,
                         .flags = AnyCode<std::uint16_t>(2, random),
                         .type = random.OneIn(6) ? AnyCode<std::uint16_t>(8, random)
                                                 : Pick<std::uint16_t>(random(), {0, 1, 2, 6, 6, 0x8001, 0x8002}),
                         .cookie = random.Below(3),
                         .offset = AnyNumber(random)};
  const bool is_status = chunk.type == engine::ChunkType::kBlockStatusExt && !random.OneIn(4);
  chunk.payload = is_status ? AnyExtendedStatus(random) : AnyPayload(random);
  return chunk;
}

engine::ServerMessage AnyReply(HeaderForm form, std::uint8_t data_bytes, Random& random) {
  if (form == HeaderForm::kExtended && !random.OneIn(6)) {
    return AnyExtendedChunk(random);
  }
  if (random.OneIn(2)) {
    const std::uint64_t cookie = random.Below(3);
    const std::uint32_t error = random.OneIn(3) ? 5 : 0;
    return engine::SimpleReply{
        .error = error, .cookie = cookie, .data = AnyBytes(cookie < 2 && error == 0 ? data_bytes : 0, random)};
  }
  return engine::Chunk{.flags = AnyCode<std::uint16_t>(2, random),
                       .type = random.OneIn(6) ? AnyCode<std::uint16_t>(8, random)
                                               : Pick<std::uint16_t>(random(), {0, 1, 2, 5, 0x8001, 0x8002}),
                       .cookie = random.Below(3),
                       .payload = AnyPayload(random)};
}

// `phase` as ReadWireInput has it. Those of a server below 2 begin with its greeting.
void SayAsServer(unsigned phase, HeaderForm form, std::uint8_t data_bytes, Random& random, Bytes& out) {
  bool in_transmission = phase == 3;
  if (phase < 2) {
    Encode(engine::Greeting{.flags = AnyCode<std::uint16_t>(4, random)}, out);
  } else if (phase == 2) {
    Encode(engine::ExportNameReply{.size = random(), .pad = Bytes(data_bytes % 2 == 1 ? 124 : 0)}, out);
    in_transmission = true;
    form = HeaderForm::kCompact;
  }
  for (std::uint64_t left = random.Below(8); left > 0; --left) {
    if (in_transmission) {
      Encode(AnyReply(form, data_bytes, random), out);
      continue;
    }
    const auto option = AnyCode<std::uint32_t>(11, random);
    const std::uint32_t type =
        random.OneIn(3) ? 0x80000001 + AnyCode<std::uint32_t>(9, random) : 1 + AnyCode<std::uint32_t>(4, random);
    const engine::OptionReply reply = {.option = option, .type = type, .payload = AnyPayload(random)};
    Encode(reply, out);
    if (option == engine::OptionType::kExportName) {
      Encode(engine::ExportNameReply{.size = random(), .pad = Bytes(reply.is_error() ? 124 : 0)}, out);
      form = HeaderForm::kCompact;
    }
    in_transmission = option == engine::OptionType::kExportName ||
                      (option == engine::OptionType::kGo && type == engine::OptionReplyType::kAck);
  }
}

engine::Request AnyExtendedRequest(Random& random) {
  engine::Request request = {.form = HeaderForm::kExtended,
                             .flags = AnyCode<std::uint16_t>(64, random),
                             .type = AnyCode<std::uint16_t>(8, random),
                             .cookie = random(),
                             .offset = random(),
                             .length = AnyNumber(random)};
  if (request.announces_payload() && !random.OneIn(8)) {
    const bool is_query = request.type == engine::CommandType::kBlockStatus && !random.OneIn(4);
    request.payload = is_query ? AnyStatusQuery(random) : AnyPayload(random);
    request.length = request.payload.size();
  }
  return request;
}

void SayAsClient(unsigned phase, HeaderForm form, Random& random, Bytes& out) {
  if (phase < 2) {
    Encode(engine::ClientFlags{.flags = AnyCode<std::uint32_t>(4, random)}, out);
  }
  for (std::uint64_t left = random.Below(8); left > 0; --left) {
    if (phase >= 2 && form == HeaderForm::kExtended) {
      Encode(AnyExtendedRequest(random), out);
      continue;
    }
    Bytes payload = AnyPayload(random);
    if (phase < 2) {
      Encode(engine::Option{.option = AnyCode<std::uint32_t>(11, random), .payload = std::move(payload)}, out);
      continue;
    }
    const auto type = AnyCode<std::uint16_t>(8, random);
    payload.resize(type == engine::CommandType::kWrite ? payload.size() : 0);
    Encode(engine::Request{.flags = AnyCode<std::uint16_t>(64, random),
                           .type = type,
                           .cookie = random(),
                           .offset = random(),
                           .length = payload.empty() ? AnyCode<std::uint32_t>(4096, random)
                                                     : static_cast<std::uint32_t>(payload.size()),
                           .payload = std::move(payload)},
           out);
  }
}

// --- Texts ---

class TextWriter {
 public:
  explicit TextWriter(Random& random) : random_(random) {}

  std::string Requirements() {
    std::string text;
    for (std::uint64_t line = 0, count = 1 + random_.Below(5); line < count; ++line) {
      if (random_.OneIn(4)) {
        text += Word({"#\n", "# Requirements.\n"});
      }
      const bool is_head = line == 0 && !random_.OneIn(12);
      text += is_head ? "id\tsection\tlevel\trole\tphase\tstatement\tobservable\thow\tuntested\tharm" : Requirement();
      text += random_.OneIn(10) ? "\r\n" : "\n";
    }
    if (random_.OneIn(5)) {
      text.pop_back();
    }
    return text;
  }

  // A case for nbdkit.
  std::string Case() {
    std::string text = std::string(engine::kScriptHeader) + "\n";
    if (!random_.OneIn(6)) {
      text += "# stack:";
      if (random_.OneIn(6)) {
        text += Word({" partition=512+4096", " partition=4294967296+4294967808"});
      }
      for (std::uint64_t left = random_.Below(4); left > 0; --left) {
        text += " " + Layer();
      }
      text += "\n";
    }
    if (random_.OneIn(2)) {
      text += "# reach: " + Word({"extent", "disk", "request", "nowhere"}) + "\n";
    }
    if (random_.OneIn(2)) {
      text += "# deviates: " + Word({"killed by SIGABRT", "killed by SIGABRT: once", "says: a: b", ""}) + "\n";
    }
    text += Word({"size 4K\n", "size 64K\n", "size 1T\n", "size 8E-1\n", ""});
    return text + Word({"add 0 +4K data\nforeach 0 +64K\n", "lookup 0\n"});
  }

  // What a finding is.
  std::string About() {
    std::string text = "{\"kind\":\"" + Word({"wrong-data", "false-claim", "broken-rule", "wrong-success",
                                              "wrong-error", "disconnect", "crash", "hang", "Crash", "\\u001b[31m"});
    text += "\",\"state\":\"" + Word({"observed", "reproduced", "not-reproduced", "observed", "reproduced", ""}) + "\"";
    for (std::uint64_t left = random_.Below(6); left > 0; --left) {
      text += ",\"" + Word({"rule", "place", "expected", "saw", "known", "replay", "target", "target_words", "version",
                            "server_ended", "seed", "script_number", "step", "count", "unknown"});
      text += "\":" + Word({"\"a\"", R"("\u0000\n\u00e9")", R"("\\\"")", "18446744073709551615", "4294967296", "-1",
                            "1e3", "null", "[[]]"});
    }
    if (random_.OneIn(2)) {
      text += ",\"connections\":" + Word({"[]", "[{},7]", R"([{"sent_offset":1,"received_offset":4294967297}])", "{}"});
    }
    if (!random_.OneIn(12)) {
      text += ",\"files\":" + Files();
    }
    return text + (random_.OneIn(12) ? "" : "}");
  }

 private:
  std::string Word(std::initializer_list<std::string_view> words) { return std::string(Pick(random_(), words)); }

  std::string Requirement() {
    std::string row = Word({"a", "a", "b.c-1", "d.9", "A", "e\x1b[31m", ""}) + "\tS";
    row += random_.OneIn(12) ? " \t" : "\t";
    row += Word({"MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY", "OUGHT"}) + "\t";
    row += Word({"server", "client", "server", "peer"}) + "\t";
    row += Word({"general", "handshake", "options", "tls", "metadata", "block-size", "transmission",
                 "structured-replies", "extended-headers"});
    row += "\ts\t" + Word({"yes", "partial", "no", "yes", "maybe"}) + "\t";
    row += Word({"h", "ask [ambiguous]", "[derived]", "h [historic-deviation]", ""});
    if (!random_.OneIn(8)) {
      row += "\t" + Word({"", "", "", "no TLS", " ", "\r"});
      row +=
          random_.OneIn(2) ? "" : "\t" + Word({"", "style", "interoperability", "denial", "security", "data", "harm"});
    }
    return random_.OneIn(12) ? row.substr(0, random_.Below(row.size() + 1)) : row;
  }

  std::string Layer() {
    if (random_.OneIn(3)) {
      return Word({"cacheextents", "cow", "noextents", "xor=5"});
    }
    const std::string name = Word({"offset=", "nbdspec-offset=", "truncate=", "round-up=", "minblock="});
    return name + Word({"0", "1", "512", "4096", "8192", "65536", "4294967296", "4294967808", "9223372036854775807"});
  }

  std::string Files() {
    std::string text;
    for (std::uint64_t left = random_.Below(4); left > 0; --left) {
      const std::string name = random_.OneIn(3)
                                   ? Word({"script.txt", "sent.bin", "stderr.txt", "a/b", "\\u001b[31m", "\\n", ""})
                                   : Word({"script.txt", "sent.bin", "stderr.txt"});
      constexpr std::string_view kRight = R"({"bytes":7,"fnv1a":18446744073709551615})";
      text += (text.empty() ? "\"" : ",\"") + name + "\":";
      text += random_.OneIn(3) ? Word({kRight, R"({"bytes":-1})", "{}", "7"}) : kRight;
    }
    return "{" + text + "}";
  }

  Random& random_;
};

}  // namespace

Bytes FreshScriptText(Random& random) {
  ScriptMutator mutator(engine::kNoScriptLimits, random());
  engine::Script script = mutator.Fresh(1 + random.Below(12));
  for (std::uint64_t left = random.Below(4); left > 0; --left) {
    (void)mutator.Apply(ScriptMutation::kRetype, script);
  }
  return random.OneIn(2) ? engine::EncodeScript(script) : FromText(engine::Print(script));
}

Bytes FreshWireInput(Random& random) {
  Bytes input = AnyBytes(4, random);
  input[0] = static_cast<std::uint8_t>(random.OneIn(3) ? input[0] | 0x80U : input[0] & 0x7fU);  // Extended headers.
  const HeaderForm form = (input[0] & 0x80) != 0 ? HeaderForm::kExtended : HeaderForm::kCompact;
  const bool from_server = (input[0] & 1) != 0;
  const unsigned phase = input[0] >> 1 & 3U;
  if (from_server) {
    input[3] = static_cast<std::uint8_t>(input[3] % 16);  // Data of simple replies: little of it.
    SayAsServer(phase, form, input[3], random, input);
  } else {
    SayAsClient(phase, form, random, input);
  }
  return input;
}

Bytes FreshSessionInput(Random& random) {
  constexpr std::uint8_t kKinds = 11;  // Requests that go on.
  Bytes input = AnyBytes(5, random);
  input[0] =
      static_cast<std::uint8_t>(random.OneIn(8) ? input[0] : (input[0] | 1U) & (random.OneIn(4) ? 0xffU : 0xefU));
  const bool is_extended = random.OneIn(3);
  input[0] = static_cast<std::uint8_t>(is_extended ? input[0] | 0x80U : input[0] & 0x7fU);
  input[3] = static_cast<std::uint8_t>(random.OneIn(8) ? input[3] : 0);
  // A usual way in, with both contexts.
  input[4] = static_cast<std::uint8_t>(random.OneIn(4) ? input[4] : (input[4] & 0xe0U) | 7U);
  for (std::uint64_t left = random.Below(32); left > 0; --left) {
    const auto kind =
        static_cast<std::uint8_t>(random.OneIn(24) ? random() : random.Below(kKinds) + 16 * random.Below(12));
    input.push_back(kind);
    if (kind % 16 != 9) {  // A flush is a byte.
      input.push_back(static_cast<std::uint8_t>(random()));
      input.push_back(static_cast<std::uint8_t>(random.Below(16) + 16 * random.Below(random.OneIn(2) ? 2 : 16)));
      input.push_back(static_cast<std::uint8_t>(random.Below(13) + 16 * random.Below(random.OneIn(2) ? 2 : 16)));
    }
    const bool is_status = kind % 16 == 2 || kind % 16 == 7 || kind % 16 == 10;
    if (kind % 16 == 1 || kind % 16 == 6) {  // A write has a fill.
      input.push_back(static_cast<std::uint8_t>(random()));
    } else if (is_extended && is_status && kind / 16 % 4 == 1) {  // It may say which contexts are to answer.
      input.push_back(static_cast<std::uint8_t>(random.OneIn(2) ? random() : random.Below(8)));
    }
  }
  return input;
}

Bytes FreshSessionDecodeInput(Random& random) {
  Bytes input = AnyBytes(3 + random.Below(250), random);
  input[0] = static_cast<std::uint8_t>(random.OneIn(8) ? input[0] : input[0] & ~8U);
  const std::size_t steps = std::min<std::size_t>(input[2] % 32U, 24);
  for (std::size_t at = 3 + steps; at < input.size(); at += 2) {
    // A byte by itself tears what follows.
    input[at] = static_cast<std::uint8_t>((input[at] & 7U) == 7 && !random.OneIn(8) ? input[at] & ~4U : input[at]);
  }
  return input;
}

Bytes FreshReportText(Random& random) {
  TextWriter writer(random);
  if (random.OneIn(4)) {
    return FromText(writer.About());
  }
  return FromText(random.OneIn(2) ? writer.Case() : writer.Requirements());
}

}  // namespace nbdspec::fuzz
