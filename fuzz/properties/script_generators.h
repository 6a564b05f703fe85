// SPDX-License-Identifier: BSD-3-Clause
// RapidCheck generators for scripts of every kind of step, legal or not.

#pragma once

#include <rapidcheck.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/script/script.h"

namespace nbdspec::fuzz {

// Any number, and often one at the edge of a unit, of 32 or of 64 bits: those print and parse in forms of their own.
inline rc::Gen<std::uint64_t> GenNumber() {
  return rc::gen::exec([] {
    return (*rc::gen::inRange<std::uint64_t>(0, 4096) << *rc::gen::inRange(0, 64)) +
           *rc::gen::inRange<std::uint64_t>(0, 3) - 1;
  });
}

inline rc::Gen<std::string> GenName() {
  return rc::gen::oneOf(rc::gen::string<std::string>(), rc::gen::container<std::string>(rc::gen::arbitrary<char>()),
                        rc::gen::element<std::string>("base:allocation", "", "\"\"", "@", "#", "\\x41"));
}

inline engine::Step AnyAddStep() {
  return engine::AddStep{.offset = *GenNumber(),
                         .length = *GenNumber(),
                         .type = static_cast<engine::ExtentType>(*rc::gen::arbitrary<std::uint8_t>())};
}

inline engine::Step AnyForEachStep() {
  const auto [begin, end] = std::minmax({*GenNumber(), *GenNumber()});
  return engine::ForEachStep{.bounds = {.begin = begin, .end = end}, .stop_at = *rc::gen::arbitrary<std::uint8_t>()};
}

inline engine::Step AnyRequestStep() {
  using engine::Command;
  return engine::RequestStep{
      .command = *rc::gen::element(Command::kRead, Command::kWrite, Command::kFlush, Command::kTrim, Command::kCache,
                                   Command::kZero, Command::kStatus),
      .offset = *GenNumber(),
      .length = static_cast<std::uint32_t>(*GenNumber()),
      .flags = *rc::gen::oneOf(rc::gen::inRange<std::uint16_t>(0, 64), rc::gen::arbitrary<std::uint16_t>()),
      .pattern = *rc::gen::arbitrary<std::uint8_t>(),
      .connection = *rc::gen::inRange<std::uint8_t>(1, engine::kConnectionsMax + 1)};
}

inline engine::Step AnyOptionStep() {
  return engine::OptionStep{
      .option = *rc::gen::oneOf(rc::gen::inRange<std::uint32_t>(0, 13), rc::gen::arbitrary<std::uint32_t>()),
      .names = *rc::gen::container<std::vector<std::string>>(GenName()),
      .export_name = *GenName()};
}

inline rc::Gen<engine::Step> GenAnyStep() {
  using engine::Step;
  return rc::gen::oneOf(rc::gen::exec(AnyAddStep), rc::gen::exec(AnyForEachStep), rc::gen::exec(AnyRequestStep),
                        rc::gen::exec(AnyOptionStep),
                        rc::gen::exec([]() -> Step { return engine::LookupStep{.offset = *GenNumber()}; }),
                        rc::gen::just(Step(engine::ClearStep{})), rc::gen::just(Step(engine::WaitStep{})));
}

inline rc::Gen<engine::Script> GenScript() {
  return rc::gen::exec([] {
    return engine::Script{.size = std::min(*GenNumber(), engine::kExportBytesMax),
                          .initial = static_cast<engine::ExtentType>(*rc::gen::inRange(0, +engine::kExtentTypeCount)),
                          .steps = *rc::gen::container<std::vector<engine::Step>>(GenAnyStep())};
  });
}

}  // namespace nbdspec::fuzz

namespace rc {

inline void showValue(const nbdspec::engine::Script& script, std::ostream& out) {
  out << nbdspec::engine::Print(script);
}

}  // namespace rc
