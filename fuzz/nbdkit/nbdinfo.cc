// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/nbdkit/nbdinfo.h"

#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "conformance/peer/process/process.h"

namespace nbdspec::fuzz {

namespace {

constexpr std::chrono::seconds kWait{30};
constexpr std::size_t kOutputBytesMax = std::size_t{16} << 20;

std::optional<engine::Extent> ParseExtent(const nlohmann::json& entry) {
  const auto number = [&](const char* key) -> std::optional<std::uint64_t> {
    const auto found = entry.is_object() ? entry.find(key) : entry.end();
    if (!entry.is_object() || found == entry.end() || !found->is_number_unsigned()) {
      return {};
    }
    return found->get<std::uint64_t>();
  };
  const auto offset = number("offset");
  const auto length = number("length");
  const auto type = number("type");
  if (!offset || !length || !type || !engine::IsExtentType(static_cast<std::uint32_t>(*type))) {
    return {};
  }
  const auto range = engine::ByteRange::From({.offset = *offset, .length = *length});
  if (!range) {
    return {};
  }
  return engine::Extent{.range = *range, .type = static_cast<engine::ExtentType>(*type)};
}

}  // namespace

std::expected<std::vector<engine::Extent>, std::string> NbdinfoMap(const std::string& socket_path) {
  auto directory = conformance::PrivateDirectory::Make();
  if (!directory) {
    return std::unexpected(directory.error().sentence);
  }
  const auto process = conformance::ServerProcess::Start(
      {"nbdinfo", "--map", "--json", "nbd+unix:///?socket=" + socket_path}, *std::move(directory));
  if (!process) {
    return std::unexpected(process.error().sentence);
  }
  const auto ended = (*process)->EndedBy(conformance::Transport::Clock::now() + kWait);
  const std::string output = (*process)->LastWords(kOutputBytesMax);
  if (ended != "exited with status 0") {
    return std::unexpected("nbdinfo " + ended.value_or("does not end") + ": " + output.substr(0, 400));
  }
  const auto json = nlohmann::json::parse(output, nullptr, /*allow_exceptions=*/false);
  if (!json.is_array()) {
    return std::unexpected("nbdinfo does not say an array: " + output.substr(0, 400));
  }
  std::vector<engine::Extent> extents;
  for (const auto& entry : json) {
    const auto extent = ParseExtent(entry);
    if (!extent) {
      return std::unexpected("nbdinfo says what is no extent: " + entry.dump());
    }
    extents.push_back(*extent);
  }
  return extents;
}

}  // namespace nbdspec::fuzz
