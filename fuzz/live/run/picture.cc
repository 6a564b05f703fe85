// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/run/picture.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "engine/wire/protocol.h"
#include "reports/model/marks.h"

namespace nbdspec::fuzz {

namespace {

bool HasCookie(const reports::Message& message, const std::string& cookie) {
  return std::ranges::any_of(message.fields, [&](const reports::MessageField& field) {
    return field.name == "cookie" && field.value == cookie;
  });
}

}  // namespace

std::string TranscriptLine(const reports::Message& message) {
  const bool is_sent = message.from == reports::Message::From::kClient;
  return (is_sent ? "C" : "S") + std::to_string(message.connection) + (is_sent ? "> @" : "< @") +
         std::to_string(message.offset) + " +" + std::to_string(message.length) + "  " + message.text;
}

FindingPicture PictureOf(std::vector<reports::Message> messages, std::optional<std::uint64_t> cookie,
                         const Failure& failure) {
  using reports::Message;
  constexpr std::size_t kMessagesMax = 24;
  const std::string wanted = cookie ? engine::HexText(*cookie) : "";
  std::string asked;
  const engine::AnswerPlace& judged = failure.violation.place;
  std::int32_t answers = 0;  // Messages, since what asked for them: the first of all may not be there any more.
  for (Message& message : messages) {
    if (cookie && HasCookie(message, wanted)) {
      const bool is_sent = message.from == Message::From::kClient;
      const bool is_another = !asked.empty() && judged.chunk >= 0 && judged.chunk != answers;
      message.part = is_sent ? Message::Part::kAsked : is_another ? Message::Part::kNone : Message::Part::kJudged;
      asked = is_sent ? message.text : asked;
      answers += is_sent ? 0 : 1;
    }
  }
  const bool is_answered =
      std::ranges::any_of(messages, [](const Message& each) { return each.part == Message::Part::kJudged; });
  for (Message& message : messages) {
    if (!is_answered && message.part == Message::Part::kAsked) {
      message.part = Message::Part::kJudged;  // That no answer came.
    } else if (message.part == Message::Part::kJudged) {
      MarkFields(message, asked, failure.violation.saw,
                 failure.kind == FindingKind::kFalseClaim || judged.descriptor >= 0);
    }
  }
  std::vector<Message::Part> parts;
  std::ranges::transform(messages, std::back_inserter(parts), &Message::part);
  FindingPicture picture{.bars = failure.bars};
  for (const std::size_t index : reports::NearestToVerdict(parts, kMessagesMax)) {
    picture.messages.push_back(std::move(messages[index]));
  }
  return picture;
}

}  // namespace nbdspec::fuzz
