// SPDX-License-Identifier: BSD-3-Clause
// RapidCheck generators for scripts of every kind of step, legal or not.

#pragma once

#include <rapidcheck.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "engine/script/script.h"

namespace nbdspec::fuzz {

// Any number, and often one at the edge of a unit, of 32 or of 64 bits: those print and parse in forms of their own.
inline rc::Gen<std::uint64_t> GenNumber() {
  return rc::gen::map(rc::gen::tuple(rc::gen::inRange<std::uint64_t>(0, 4096), rc::gen::inRange(0, 64),
                                     rc::gen::inRange<std::uint64_t>(0, 3)),
                      [](const std::tuple<std::uint64_t, int, std::uint64_t>& parts) {
                        return (std::get<0>(parts) << std::get<1>(parts)) + std::get<2>(parts) - 1;
                      });
}

inline rc::Gen<std::string> GenName() {
  return rc::gen::oneOf(rc::gen::string<std::string>(), rc::gen::container<std::string>(rc::gen::arbitrary<char>()),
                        rc::gen::element<std::string>("base:allocation", "", "\"\"", "@", "#", "\\x41"));
}

inline rc::Gen<engine::Step> GenAddStep() {
  return rc::gen::map(rc::gen::tuple(GenNumber(), GenNumber(), rc::gen::arbitrary<std::uint8_t>()),
                      [](const std::tuple<std::uint64_t, std::uint64_t, std::uint8_t>& parts) -> engine::Step {
                        return engine::AddStep{.offset = std::get<0>(parts),
                                               .length = std::get<1>(parts),
                                               .type = static_cast<engine::ExtentType>(std::get<2>(parts))};
                      });
}

inline rc::Gen<engine::Step> GenForEachStep() {
  return rc::gen::map(rc::gen::tuple(GenNumber(), GenNumber(), rc::gen::arbitrary<std::uint8_t>()),
                      [](const std::tuple<std::uint64_t, std::uint64_t, std::uint8_t>& parts) -> engine::Step {
                        const auto [begin, end] = std::minmax({std::get<0>(parts), std::get<1>(parts)});
                        return engine::ForEachStep{.bounds = {.begin = begin, .end = end},
                                                   .stop_at = std::get<2>(parts)};
                      });
}

inline rc::Gen<engine::Step> GenRequestStep() {
  using engine::Command;
  const auto command = rc::gen::element(Command::kRead, Command::kWrite, Command::kFlush, Command::kTrim,
                                        Command::kCache, Command::kZero, Command::kStatus);
  const auto flags = rc::gen::oneOf(rc::gen::inRange<std::uint16_t>(0, 64), rc::gen::arbitrary<std::uint16_t>());
  return rc::gen::map(rc::gen::tuple(command, GenNumber(), GenNumber(), flags, rc::gen::arbitrary<std::uint8_t>(),
                                     rc::gen::inRange<std::uint8_t>(1, engine::kConnectionsMax + 1)),
                      [](const auto& parts) -> engine::Step {
                        return engine::RequestStep{.command = std::get<0>(parts),
                                                   .offset = std::get<1>(parts),
                                                   .length = static_cast<std::uint32_t>(std::get<2>(parts)),
                                                   .flags = std::get<3>(parts),
                                                   .pattern = std::get<4>(parts),
                                                   .connection = std::get<5>(parts)};
                      });
}

inline rc::Gen<engine::Step> GenOptionStep() {
  const auto option = rc::gen::oneOf(rc::gen::inRange<std::uint32_t>(0, 13), rc::gen::arbitrary<std::uint32_t>());
  return rc::gen::map(rc::gen::tuple(option, rc::gen::container<std::vector<std::string>>(GenName()), GenName()),
                      [](const auto& parts) -> engine::Step {
                        return engine::OptionStep{.option = std::get<0>(parts),
                                                  .names = std::get<1>(parts),
                                                  .export_name = std::get<2>(parts)};
                      });
}

inline rc::Gen<engine::Step> GenAnyStep() {
  using engine::Step;
  const auto lookup =
      rc::gen::map(GenNumber(), [](std::uint64_t offset) -> Step { return engine::LookupStep{.offset = offset}; });
  return rc::gen::oneOf(GenAddStep(), GenForEachStep(), lookup, GenRequestStep(), GenOptionStep(),
                        rc::gen::just(Step(engine::ClearStep{})), rc::gen::just(Step(engine::WaitStep{})));
}

inline rc::Gen<engine::Script> GenScript() {
  return rc::gen::map(rc::gen::tuple(GenNumber(), rc::gen::inRange<std::uint8_t>(0, engine::kExtentTypeCount),
                                     rc::gen::container<std::vector<engine::Step>>(GenAnyStep())),
                      [](const auto& parts) {
                        return engine::Script{.size = std::min(std::get<0>(parts), engine::kExportBytesMax),
                                              .initial = static_cast<engine::ExtentType>(std::get<1>(parts)),
                                              .steps = std::get<2>(parts)};
                      });
}

}  // namespace nbdspec::fuzz

namespace rc {

inline void showValue(const nbdspec::engine::Script& script, std::ostream& out) {
  out << nbdspec::engine::Print(script);
}

}  // namespace rc
