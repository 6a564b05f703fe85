// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/clients/scenario.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

#include "conformance/clients/client_check.h"
#include "conformance/tls/certificates.h"
#include "engine/base/check.h"
#include "engine/layers/plugins.h"

namespace nbdspec::conformance {

namespace {

using engine::ByteRange;
using engine::Bytes;
using engine::kKiB;
using engine::kMiB;

// Where the export of `size` bytes holds data; between are holes, and zeroes that were written.
std::vector<ByteRange> DataOf(std::uint64_t size) {
  std::vector<ByteRange> data = {{.begin = 0, .end = 64 * kKiB},
                                 {.begin = kMiB, .end = kMiB + 64 * kKiB},
                                 {.begin = kMiB + 128 * kKiB, .end = kMiB + 132 * kKiB}};
  data.push_back({.begin = size - 4 * kKiB - size % 512, .end = size});
  return data;
}
constexpr ByteRange kWrittenZeroes = {.begin = kMiB + 256 * kKiB, .end = kMiB + 320 * kKiB};

// Never zero; its period is a prime, so that what is moved differs.
std::uint8_t DataByteAt(std::uint64_t offset) { return static_cast<std::uint8_t>(1 + offset % 251); }

engine::Disk DiskOf(std::uint64_t size) {
  engine::Disk disk(size);
  for (const ByteRange range : DataOf(size)) {
    Bytes data(range.length());
    for (std::uint64_t i = 0; i < data.size(); ++i) {
      data[i] = DataByteAt(range.begin + i);
    }
    NBDSPEC_CHECK(disk.Write(range.begin, data));
  }
  NBDSPEC_CHECK(disk.WriteZeroes(kWrittenZeroes, /*may_punch_hole=*/false));
  return disk;
}

std::uint8_t InputByteAt(std::uint64_t offset) { return static_cast<std::uint8_t>(1 + (offset + 97) % 239); }

// Other bytes than the export's: data where it has data, and where it has holes; zeroes over data and over holes.
Bytes MakeInput(std::uint64_t size) {
  Bytes input(size);
  for (std::uint64_t at = 0; at < size; ++at) {
    const bool is_zero = at / (32 * kKiB) % 3 == 1;
    input[at] = is_zero ? std::uint8_t{0} : InputByteAt(at);
  }
  return input;
}

// Other bytes than an export's with `extents`: zeroes for data, data for the rest.
Bytes InputBeside(const engine::ExtentMap& extents) {
  Bytes input(extents.size());
  extents.ForEach(extents.range(), [&input](engine::Extent extent) {
    for (std::uint64_t at = extent.range.begin; extent.type != engine::ExtentType::kData && at < extent.range.end;
         ++at) {
      input[at] = InputByteAt(at);
    }
    return true;
  });
  return input;
}

// The same for all exports of a size: they are few, and there are many runs.
const Bytes& InputOf(std::uint64_t size) {
  static std::mutex mutex;
  static std::map<std::uint64_t, Bytes> inputs;
  const std::lock_guard lock(mutex);
  const auto [found, is_new] = inputs.try_emplace(size);
  if (is_new) {
    found->second = MakeInput(size);
  }
  return found->second;
}

}  // namespace

ServedExport::ServedExport(const Scenario& scenario)
    : export_{.options = {.name = scenario.export_name, .description = "nbdspec's export"},
              .disk = scenario.extents ? engine::Disk(scenario.extents()) : DiskOf(scenario.size)},
      other_{.options = {.name = "nbdspec-other"}, .disk = engine::Disk(64 * kKiB)} {
  if (scenario.extents) {
    own_input_ = InputBeside(export_.disk.extents());
  } else {
    input_ = &InputOf(scenario.size);
  }
  if (scenario.offers) {
    scenario.offers(export_.options);
  }
  truth_ = Contents();
  serving_.server = scenario.server;
  serving_.exports = {&export_, &other_};
  if (!scenario.changes.empty()) {
    serving_.interposers = [change = scenario.changes.front(), layer = &export_.layer()](std::uint64_t number) {
      return engine::faults::Interpose(change, number, layer);
    };
  }
  const TlsMaterial& material = TheTlsMaterial();
  serving_.credentials = material.OfServer();
  if (scenario.tls.shows_stranger) {
    serving_.credentials.certificate = material.stranger_certificate;
    serving_.credentials.key = material.stranger_key;
  }
  serving_.credentials.authorities.clear();
}

Bytes ServedExport::Contents() {
  Bytes contents(export_.layer().size());
  NBDSPEC_CHECK(export_.layer().Read(0, contents));
  return contents;
}

const std::vector<Scenario>& AllScenarios() {
  static const std::vector<Scenario> kAll = [] {
    std::vector<Scenario> all = {{.name = "plain"}};
    for (ScenarioCheck& check : AllScenarioChecks()) {
      check.scenario.name = check.id;
      all.push_back(std::move(check.scenario));
    }
    return all;
  }();
  return kAll;
}

const Scenario& ScenarioNamed(std::string_view name) {
  const auto found = std::ranges::find(AllScenarios(), name, &Scenario::name);
  NBDSPEC_CHECK(found != AllScenarios().end());
  return *found;
}

}  // namespace nbdspec::conformance
