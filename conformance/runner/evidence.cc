// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/runner/evidence.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reports/model/marks.h"

namespace nbdspec::conformance {

namespace {

using reports::Message;
using From = Transcript::From;
using Lines = std::span<const Transcript::Line>;

// Indices of lines.
struct Marks {
  std::optional<std::size_t> asked = {};
  std::vector<std::size_t> judged = {};  // In ascending order.
};

// The last line that `is_it`; nothing where there is none.
template <typename IsIt>
std::optional<std::size_t> Last(Lines lines, IsIt is_it) {
  const auto found = std::ranges::find_if(lines | std::views::reverse, is_it);
  return found == std::views::reverse(lines).end() ? std::nullopt
                                                   : std::optional(static_cast<std::size_t>(&*found - lines.data()));
}

// The option that the reply in line `reply` names, as a name of a message; empty for other lines.
std::string_view OptionOf(const Transcript::Line& reply) {
  for (const auto& [name, begin, end] : reply.what.fields) {
    if (reply.from == From::kServer && name == "option") {
      return std::string_view(reply.what.text).substr(begin, end - begin);
    }
  }
  return "";
}

std::string_view NameOf(const Transcript::Line& line) {
  return std::string_view(line.what.text).substr(0, line.what.name_bytes);
}

bool IsNamed(const Transcript::Line& line, std::string_view name) { return !name.empty() && NameOf(line) == name; }

// What the message in line `index` was asked by: the request with its cookie, the option that it names, or what was
// sent before it.
std::optional<std::size_t> AskedBy(Lines lines, std::size_t index) {
  const Transcript::Line& reply = lines[index];
  const std::string_view option = OptionOf(reply);
  const auto asks = [&](const Transcript::Line& line) {
    return line.from == From::kClient && line.connection == reply.connection &&
           (!reply.cookie || line.cookie == reply.cookie);
  };
  const auto named =
      Last(lines.first(index), [&](const Transcript::Line& line) { return asks(line) && IsNamed(line, option); });
  return named ? named : Last(lines.first(index), asks);
}

// What answers the message in line `asked`: replies with its cookie; or what came before the next message was sent, and
// what names it later.
std::vector<std::size_t> AnswersTo(Lines lines, std::size_t asked) {
  const Transcript::Line& question = lines[asked];
  std::vector<std::size_t> answers;
  bool is_next = true;  // Nothing was sent since.
  for (std::size_t i = asked + 1; i < lines.size(); ++i) {
    const Transcript::Line& line = lines[i];
    if (line.connection != question.connection) {
      continue;
    }
    const bool is_same = question.cookie
                             ? line.cookie == question.cookie
                             : IsNamed(question, line.from == From::kClient ? NameOf(line) : OptionOf(line));
    if (line.from == From::kClient) {
      is_next = false;
    }
    if (line.from == From::kClient && is_same) {
      break;
    }
    if (line.from == From::kServer && (is_same || (is_next && !question.cookie))) {
      answers.push_back(i);
    }
  }
  return answers;
}

// How the connection of line `index` went on after it: the note nearest behind it.
std::optional<std::size_t> NoteAfter(Lines lines, std::size_t index) {
  for (std::size_t i = index + 1; i < lines.size(); ++i) {
    if (lines[i].from == From::kNobody && lines[i].connection == lines[index].connection) {
      return i;
    }
  }
  return {};
}

// What answers the message in line `asked`; where nothing does, that message and how its connection went on.
std::vector<std::size_t> Judged(Lines lines, std::size_t asked) {
  std::vector<std::size_t> judged = AnswersTo(lines, asked);
  if (judged.empty()) {
    judged.push_back(asked);
    if (const auto note = NoteAfter(lines, asked)) {
      judged.push_back(*note);
    }
  }
  return judged;
}

std::optional<std::size_t> AskedLast(Lines lines) {
  return Last(lines, [](const Transcript::Line& line) { return line.from == From::kClient && !line.is_farewell; });
}

std::optional<std::size_t> NamedBy(const Subject& subject, Lines lines) {
  if (subject.is_last_sent) {
    return Last(lines, [](const Transcript::Line& line) { return line.from == From::kClient; });
  }
  const auto by_cookie = [&](const Transcript::Line& line) {
    return line.from == From::kClient && line.cookie == subject.cookie;
  };
  const auto found = subject.cookie ? Last(lines, by_cookie) : std::nullopt;
  return found || subject.message.empty()
             ? found
             : Last(lines, [&](const Transcript::Line& line) { return line.what.text == subject.message; });
}

Marks MarksOf(const Subject& subject, Lines lines) {
  std::optional<std::size_t> named = NamedBy(subject, lines);
  if (!named && subject.is_default()) {
    named = AskedLast(lines);
    // Where nothing was asked yet, what came is judged, be it no message.
    named = named ? named : Last(lines, [](const Transcript::Line&) { return true; });
  }
  if (!named) {
    return {};
  }
  if (lines[*named].from != From::kClient) {
    return {.asked = AskedBy(lines, *named), .judged = {*named}};
  }
  Marks marks{.asked = named, .judged = Judged(lines, subject.goes_on ? AskedLast(lines).value_or(*named) : *named)};
  if (subject.chunk >= 0 && static_cast<std::size_t>(subject.chunk) < marks.judged.size()) {
    marks.judged = {marks.judged[static_cast<std::size_t>(subject.chunk)]};
  }
  return marks;
}

}  // namespace

std::string PlaceOf(const Message& message) {
  return message.from == From::kNobody ? fmt::format("line {}", message.line)
                                       : fmt::format("line {}, byte {} from the {}", message.line, message.offset,
                                                     message.from == From::kServer ? "server" : "client");
}

reports::Evidence EvidenceOf(const Transcript& transcript, const Judgement& judgement) {
  const Lines lines = transcript.lines();
  const Subject& about = judgement.about;
  const Marks marks = MarksOf(about, lines);
  reports::Evidence evidence{.sent = marks.asked ? lines[*marks.asked].what.text : about.message,
                             .allowed = judgement.allowed,
                             .saw = judgement.saw,
                             .place = marks.judged.empty() ? "" : PlaceOf(transcript.MessageAt(marks.judged.front()))};
  if (judgement.holds() || judgement.kind == Judgement::Kind::kNotApplicable) {
    evidence.transcript = transcript.Text();
    return evidence;
  }
  std::vector<Message::Part> parts(lines.size(), Message::Part::kNone);
  if (marks.asked) {
    parts[*marks.asked] = Message::Part::kAsked;
  }
  for (const std::size_t index : marks.judged) {
    parts[index] = Message::Part::kJudged;
  }
  const std::vector<std::size_t> shown = NearestToVerdict(parts, kMessagesShownMax);
  for (const std::size_t index : shown) {
    Message& message = evidence.messages.emplace_back(transcript.MessageAt(index));
    message.part = parts[index];
    if (message.part == Message::Part::kJudged) {
      MarkFields(message, marks.asked ? std::string_view(lines[*marks.asked].what.text) : "", judgement.saw,
                 /*is_about_descriptors=*/about.chunk >= 0 && !about.bars.empty());
    }
  }
  evidence.transcript = transcript.Text(shown);
  evidence.bars = about.bars;
  return evidence;
}

std::string WithFullStop(std::string sentence) {
  const bool has_end = sentence.ends_with('.') || sentence.ends_with('?') || sentence.ends_with('!');
  return std::move(sentence) + (has_end ? "" : ".");
}

}  // namespace nbdspec::conformance
