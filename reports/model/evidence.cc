// SPDX-License-Identifier: BSD-3-Clause
#include "reports/model/evidence.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace nbdspec::reports {

std::vector<std::size_t> NearestToVerdict(const std::vector<Message::Part>& parts, std::size_t count_max) {
  // How far each is from the nearest one before it, then from the nearest one on either side.
  const std::size_t far = parts.size();
  std::vector<std::pair<std::size_t, std::size_t>> by_distance;  // And index.
  std::size_t distance = far;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    distance = parts[i] != Message::Part::kNone ? 0 : std::min(far, distance + 1);
    by_distance.emplace_back(distance, i);
  }
  const bool has_none = distance == far;
  distance = has_none ? 0 : far;
  for (std::size_t i = parts.size(); i-- > 0;) {
    distance = parts[i] != Message::Part::kNone ? 0 : std::min(far, distance + 1);
    by_distance[i].first = std::min(by_distance[i].first, distance);
  }
  std::ranges::sort(by_distance);
  by_distance.resize(std::min(by_distance.size(), count_max));
  std::vector<std::size_t> indices;
  for (const auto& [_, index] : by_distance) {
    indices.push_back(index);
  }
  std::ranges::sort(indices);
  return indices;
}

std::string LineOf(const Message& message) {
  const std::string connection = message.connection == 1 ? "" : std::to_string(message.connection);
  const std::string mark =
      message.from == Message::From::kNobody
          ? "--"
          : fmt::format("{}{}{} @{} +{} ", message.from == Message::From::kClient ? "C" : "S", connection,
                        message.from == Message::From::kClient ? ">" : "<", message.offset, message.length);
  return fmt::format("{:>4} {} {}", message.line, mark, message.text);
}

}  // namespace nbdspec::reports
