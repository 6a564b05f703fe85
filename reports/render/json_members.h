// SPDX-License-Identifier: BSD-3-Clause
// The members of the JSON report, each once and in the order of the file: RenderJson writes them, ReadJson reads them.
//
// VisitMembers calls visit("name", member) for every member of an object; a member may be such an object itself, or a
// vector of them. A member that is new here is in the report, and is empty where it is read from an older one. What a
// report holds beside these is derived: `format`, `tally`, `failures`.

#pragma once

#include <concepts>
#include <type_traits>

#include "reports/model/run.h"

namespace nbdspec::reports {

// `Thing`, const or not.
template <typename Thing, typename Type>
concept Is = std::same_as<std::remove_const_t<Thing>, Type>;

template <Is<MessageField> Thing, typename Visit>
void VisitMembers(Thing& field, const Visit& visit) {
  visit("name", field.name);
  visit("value", field.value);
  visit("judged", field.is_judged);
}

template <Is<Message> Thing, typename Visit>
void VisitMembers(Thing& message, const Visit& visit) {
  visit("line", message.line);
  visit("from", message.from);
  visit("connection", message.connection);
  visit("part", message.part);
  visit("offset", message.offset);
  visit("length", message.length);
  visit("text", message.text);
  visit("name", message.name);
  visit("fields", message.fields);
}

template <Is<Stretch> Thing, typename Visit>
void VisitMembers(Thing& stretch, const Visit& visit) {
  visit("begin", stretch.begin);
  visit("end", stretch.end);
  visit("said", stretch.said);
  visit("judged", stretch.is_judged);
}

template <Is<Bar> Thing, typename Visit>
void VisitMembers(Thing& bar, const Visit& visit) {
  visit("who", bar.who);
  visit("stretches", bar.stretches);
}

template <Is<Evidence> Thing, typename Visit>
void VisitMembers(Thing& evidence, const Visit& visit) {
  visit("sent", evidence.sent);
  visit("allowed", evidence.allowed);
  visit("saw", evidence.saw);
  visit("place", evidence.place);
  visit("transcript", evidence.transcript);
  visit("standard_error", evidence.standard_error);
  visit("ended", evidence.ended);
  visit("messages", evidence.messages);
  visit("bars", evidence.bars);
}

template <Is<Expectation> Thing, typename Visit>
void VisitMembers(Thing& expectation, const Visit& visit) {
  visit("overlay", expectation.overlay);
  visit("reason", expectation.reason);
  visit("link", expectation.link);
  visit("place", expectation.place);
}

template <Is<Outcome> Thing, typename Visit>
void VisitMembers(Thing& outcome, const Visit& visit) {
  visit("id", outcome.id);
  visit("requirement", outcome.requirement);
  visit("binds", outcome.binds);
  visit("level", outcome.level);
  visit("verdict", outcome.verdict);
  visit("statement", outcome.statement);
  visit("section", outcome.section);
  visit("link", outcome.link);
  visit("harm", outcome.harm);
  visit("evidence", outcome.evidence);
  visit("replay", outcome.replay);
  visit("duration_ms", outcome.duration_ms);
  visit("expected", outcome.expectation);
  visit("stock", outcome.stock);
}

template <Is<StaleEntry> Thing, typename Visit>
void VisitMembers(Thing& entry, const Visit& visit) {
  visit("place", entry.place);
  visit("id", entry.id);
  visit("why", entry.why);
}

template <Is<Server> Thing, typename Visit>
void VisitMembers(Thing& server, const Visit& visit) {
  visit("words", server.words);
  visit("program", server.program);
  visit("version", server.version);
}

template <Is<Run> Thing, typename Visit>
void VisitMembers(Thing& run, const Visit& visit) {
  visit("tool", run.tool);
  visit("version", run.version);
  visit("spec", run.spec);
  visit("target", run.target);
  visit("server", run.server);
  visit("seed", run.seed);
  visit("started", run.started);
  visit("host", run.host);
  visit("advertised", run.advertised);
  visit("exit", run.exit);
  visit("trouble", run.trouble);
  visit("duration_ms", run.duration_ms);
  visit("stale", run.stale);
  visit("outcomes", run.outcomes);
}

// How many words an enumeration has: Word(0), Word(1), ... A report that lacks one, or has another, is not read.
template <typename Enum>
inline constexpr int kWordCount = 0;
template <>
inline constexpr int kWordCount<Verdict> = kVerdictCount;
template <>
inline constexpr int kWordCount<spec::Level> = static_cast<int>(spec::Level::kMay) + 1;
template <>
inline constexpr int kWordCount<spec::Role> = 2;
template <>
inline constexpr int kWordCount<spec::Harm> = spec::kHarmCount;
template <>
inline constexpr int kWordCount<Message::From> = 3;
template <>
inline constexpr int kWordCount<Message::Part> = 3;
template <>
inline constexpr int kWordCount<Overlay> = static_cast<int>(Overlay::kStale) + 1;

// A type with words, and one with members.
template <typename Enum>
concept Worded = (kWordCount<Enum> > 0);
template <typename Thing>
concept Membered = requires(Thing& thing) { VisitMembers(thing, [](const char*, auto&) {}); };

}  // namespace nbdspec::reports
