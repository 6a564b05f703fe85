// SPDX-License-Identifier: BSD-3-Clause
// Evidence: what a verdict rests on, as plain data: the messages that were judged, and what was said of which bytes.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace nbdspec::reports {

// A field of a message: {"cookie", "0x1"}.
struct MessageField {
  std::string name;
  std::string value;
  bool is_judged = false;  // The verdict is about it.
};

// A message of a conversation, or a note about its connection.
struct Message {
  enum class From { kClient, kServer, kNobody };
  // What it has to do with the verdict.
  enum class Part {
    kNone,    // It came before, or after.
    kAsked,   // It asked for what is judged.
    kJudged,  // The verdict is about it; where no answer came, about what was asked.
  };
  std::uint64_t line = 0;  // Of the transcript, from 1.
  From from = From::kNobody;
  int connection = 1;  // From 1.
  Part part = Part::kNone;
  std::uint64_t offset = 0;  // Of its first byte, in all that its side sent on the connection.
  std::uint64_t length = 0;  // Bytes.
  std::string text;          // In words, escaped: "NBD_CMD_READ offset 0 length 512 cookie 0x1".
  std::string name;          // The first of them: "NBD_CMD_READ". Empty for what is no single message.
  std::vector<MessageField> fields;
};

// "client", "server"; "" for a note.
inline std::string_view Word(Message::From from) {
  constexpr std::array<std::string_view, 3> kWords = {"client", "server", ""};  // In the order of the enumerators.
  return kWords.at(static_cast<std::size_t>(from));
}
// "", "asked", "judged".
inline std::string_view Word(Message::Part part) {
  constexpr std::array<std::string_view, 3> kWords = {"", "asked", "judged"};
  return kWords.at(static_cast<std::size_t>(part));
}

// Bytes of an export of which the same is said.
struct Stretch {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;   // Above begin.
  std::string said;        // "data", "hole, zero", "not zero"; empty for bytes that are only asked for.
  bool is_judged = false;  // The verdict is about it.
};

// Who said something of the export, to be drawn to one scale with the others: asked, answered, true.
struct Bar {
  std::string who;
  std::vector<Stretch> stretches;  // In the order in which they were said.
};

// Empty where there is nothing to say.
struct Evidence {
  std::string sent = {};                     // What was asked: the message that the verdict is about, or asks for it.
  std::string allowed = {};                  // What the clause allows.
  std::string saw = {};                      // What came back.
  std::string place = {};                    // Of what was judged: "line 14, byte 1342 from the server".
  std::vector<std::string> transcript = {};  // The conversation, one line each.
  std::string standard_error = {};           // The end of what the peer printed, when nbdspec started it.
  std::string ended = {};                    // How the peer ended ("killed by SIGSEGV"): a server meanwhile, a client.
  std::vector<Message> messages = {};        // Those of the conversation that were judged, and what is around them.
  std::vector<Bar> bars = {};                // Of a verdict about stretches of the export.
};

// A line of a transcript: "   3 C> @16 +20  NBD_OPT_GO, 20 bytes", "   4 S< ...", "   5 -- connection closed"; those of
// a second connection have "C2>", "S2<".
std::string LineOf(const Message& message);

// Of messages with these parts the `count_max` nearest to one that was asked or judged: their indices, ascending. Where
// none was, the last ones.
std::vector<std::size_t> NearestToVerdict(const std::vector<Message::Part>& parts, std::size_t count_max);

}  // namespace nbdspec::reports
