// SPDX-License-Identifier: BSD-3-Clause
// ConcurrentModel against brute force: all histories of a few requests on two bytes, in all orders in which they may be
// sent and answered, with all answers.
//
// The oracle keeps every state in which a right server could be (Worlds). What one of them could answer the model must
// accept. Where no write is under way the model must reject all else; beside one it is lenient on purpose, because NBD
// promises nothing there: not what a READ in flight with a write shows, for which the model has a word (open), and not
// that two READs in flight with one write agree. There the test counts.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/script/script.h"
#include "fuzz/live/model/concurrent_model.h"

namespace nbdspec::fuzz {
namespace {

using engine::ByteRange;

constexpr int kRequestsMax = 4;
constexpr int kBytes = 2;
constexpr std::uint8_t kThird = 100;  // What nobody wrote.

// What one request does. `range` is of the two bytes.
struct Request {
  enum class Kind : std::uint8_t { kRead, kWrite, kFua, kFlush };
  Kind kind = Kind::kRead;
  ByteRange range = {.begin = 0, .end = 1};
  std::uint8_t connection = 1;
};

bool Writes(const Request& request) {
  return request.kind == Request::Kind::kWrite || request.kind == Request::Kind::kFua;
}

// Write number i leaves i + 1; 0 was there before.
using Value = std::uint8_t;

// What one byte of a right server may look like: what is shared, and what each connection has in a cache of its own.
struct World {
  enum class Cached : std::uint8_t { kNothing, kClean, kDirty };
  Value shared = 0;
  std::array<Cached, 2> cached = {};
  std::array<Value, 2> cache = {};
  std::array<unsigned, 2> owed = {};  // The writes that are in a cache only, by number.
  std::array<bool, kRequestsMax> has_happened = {};
  std::array<Value, kRequestsMax> read = {};
  auto operator<=>(const World&) const = default;
};

// All states of a byte that the history so far allows.
class Worlds {
 public:
  explicit Worlds(bool has_caches) : has_caches_(has_caches) { worlds_.insert(World{}); }

  void Begin(int index, const Request& request, unsigned ended) {
    requests_[static_cast<std::size_t>(index)] = request;
    ended_before_[static_cast<std::size_t>(index)] = ended;
    in_flight_ |= 1U << index;
    Close();
  }

  // Whether `index` may end; a READ, showing `value`. If so, it has.
  bool End(int index, Value value) {
    const auto at = static_cast<std::size_t>(index);
    const bool reads = requests_[at].kind == Request::Kind::kRead;
    std::set<World> left;
    for (World world : worlds_) {
      if (world.has_happened[at] && (!reads || world.read[at] == value)) {
        world.has_happened[at] = false;
        world.read[at] = 0;
        left.insert(world);
      }
    }
    worlds_ = std::move(left);
    in_flight_ &= ~(1U << index);
    Close();
    return !worlds_.empty();
  }

 private:
  // Adds what may happen by itself.
  void Close() {
    std::vector<World> fresh(worlds_.begin(), worlds_.end());
    const auto add = [&](const World& world) {
      if (worlds_.insert(world).second) {
        fresh.push_back(world);
      }
    };
    while (!fresh.empty()) {
      const World world = fresh.back();
      fresh.pop_back();
      for (int i = 0; i < kRequestsMax; ++i) {
        if ((in_flight_ >> i & 1U) != 0 && !world.has_happened[static_cast<std::size_t>(i)]) {
          Happen(world, static_cast<std::size_t>(i), add);
        }
      }
      for (std::size_t c = 0; has_caches_ && c < 2; ++c) {
        ChangeCache(world, c, add);
      }
    }
  }

  template <typename Add>
  void Happen(World world, std::size_t index, Add add) const {
    const Request& request = requests_[index];
    const std::size_t own = request.connection - 1U;
    const auto value = static_cast<Value>(index + 1);
    world.has_happened[index] = true;
    switch (request.kind) {
      case Request::Kind::kRead:
        world.read[index] = world.cached[own] == World::Cached::kNothing ? world.shared : world.cache[own];
        break;
      case Request::Kind::kWrite:
      case Request::Kind::kFua:
        if (has_caches_ && request.kind == Request::Kind::kWrite) {
          const unsigned owed = world.owed[own];
          SetCache(world, own, World::Cached::kDirty, value);
          world.owed[own] = owed | 1U << index;
        } else {
          world.shared = value;
          SetCache(world, own, World::Cached::kNothing, 0);
          DropClean(world);
        }
        break;
      case Request::Kind::kFlush:
        for (std::size_t c = 0; c < 2; ++c) {
          if ((world.owed[c] & ended_before_[index]) != 0) {
            return;  // First it has to be written back.
          }
        }
        DropClean(world);
        break;
    }
    add(world);
  }

  template <typename Add>
  void ChangeCache(const World& world, std::size_t connection, Add add) const {
    World next = world;
    switch (world.cached[connection]) {
      case World::Cached::kNothing:
        SetCache(next, connection, World::Cached::kClean, world.shared);
        break;
      case World::Cached::kDirty:
        next.shared = world.cache[connection];
        [[fallthrough]];
      case World::Cached::kClean:
        SetCache(next, connection, World::Cached::kNothing, 0);
        break;
    }
    add(next);
  }

  static void SetCache(World& world, std::size_t connection, World::Cached cached, Value value) {
    world.cached[connection] = cached;
    world.cache[connection] = value;
    world.owed[connection] = 0;
  }
  static void DropClean(World& world) {
    for (std::size_t c = 0; c < 2; ++c) {
      if (world.cached[c] == World::Cached::kClean) {
        SetCache(world, c, World::Cached::kNothing, 0);
      }
    }
  }

  bool has_caches_;
  std::set<World> worlds_;
  std::array<Request, kRequestsMax> requests_ = {};
  std::array<unsigned, kRequestsMax> ended_before_ = {};
  unsigned in_flight_ = 0;
};

struct Counts {
  std::uint64_t right = 0;    // Answers that some right server gives: all are accepted.
  std::uint64_t wrong = 0;    // Answers that none gives, and that are rejected.
  std::uint64_t open = 0;     // Answers that none gives, and that are accepted for a write in flight.
  std::uint64_t lenient = 0;  // Answers that none gives, and that are accepted.
};

// A history as far as it has come, judged by both.
struct Histories {
  ConcurrentModel model;
  std::vector<Worlds> worlds;  // Of each byte.
  std::vector<Request> requests = {};
  unsigned in_flight = 0;
  unsigned ended = 0;
  unsigned unseen = 0;                             // Writes that are answered, but need not be seen by all.
  std::array<unsigned, kRequestsMax> covers = {};  // Which of them a FLUSH in flight makes visible.
  std::array<bool, kBytes> is_lenient = {};        // A READ was in flight with what was not settled for it.

  [[nodiscard]] bool IsInFlight(std::size_t index) const { return (in_flight >> index & 1U) != 0; }

  void NoteLeniency() {
    for (std::size_t r = 0; r < requests.size(); ++r) {
      for (std::size_t w = 0; w < requests.size(); ++w) {
        const bool is_unsettled =
            IsInFlight(w) || ((unseen >> w & 1U) != 0 && requests[w].connection != requests[r].connection);
        if (IsInFlight(r) && requests[r].kind == Request::Kind::kRead && Writes(requests[w]) && is_unsettled) {
          for (std::size_t byte = 0; byte < kBytes; ++byte) {
            is_lenient[byte] =
                is_lenient[byte] || (requests[r].range.Contains(byte) && requests[w].range.Contains(byte));
          }
        }
      }
    }
  }

  void Begin(const Request& request) {
    const std::size_t index = requests.size();
    requests.push_back(request);
    for (std::size_t byte = 0; byte < kBytes; ++byte) {
      if (request.range.Contains(byte) || request.kind == Request::Kind::kFlush) {
        worlds[byte].Begin(static_cast<int>(index), request, ended);
      }
    }
    in_flight |= 1U << index;
    covers[index] = unseen;
    const Access::Kind kind = Writes(request)                         ? Access::Kind::kWrites
                              : request.kind == Request::Kind::kFlush ? Access::Kind::kFlushes
                                                                      : Access::Kind::kLooks;
    model.Begin(static_cast<Ticket>(index + 1),
                {.kind = kind,
                 .range = request.range,
                 .effect = {.kind = Effect::Kind::kPattern, .pattern = static_cast<std::uint8_t>(index + 1)},
                 .is_durable = request.kind == Request::Kind::kFua,
                 .connection = request.connection,
                 .request = {}});
    NoteLeniency();
  }

  // Ends what shows nothing.
  void End(std::size_t index) {
    for (std::size_t byte = 0; byte < kBytes; ++byte) {
      if (requests[index].range.Contains(byte) || requests[index].kind == Request::Kind::kFlush) {
        ASSERT_TRUE(worlds[byte].End(static_cast<int>(index), 0)) << "the oracle is stuck";
      }
    }
    Forget(index);
    unseen |= requests[index].kind == Request::Kind::kWrite ? 1U << index : 0U;
    unseen &= requests[index].kind == Request::Kind::kFlush ? ~covers[index] : ~0U;
    model.End(static_cast<Ticket>(index + 1), true);
    NoteLeniency();
  }

  // Ends a READ that showed `values`. Returns whether both accept that; both must, unless the model may be lenient.
  bool EndRead(std::size_t index, const std::array<Value, kBytes>& values, Counts& counts) {
    const ByteRange range = requests[index].range;
    bool is_right = true;
    bool may_be_lenient = false;
    engine::Bytes data;
    for (std::uint64_t byte = range.begin; byte < range.end; ++byte) {
      if (!worlds[byte].End(static_cast<int>(index), values[byte])) {
        is_right = false;
        may_be_lenient = may_be_lenient || is_lenient[byte];
      }
      data.push_back(engine::PatternByteAt(values[byte], byte));
    }
    const Unexplained unexplained = model.Refute(static_cast<Ticket>(index + 1), range.begin, data);
    const bool is_accepted = !unexplained.wrong_at;
    if (is_right) {
      ++counts.right;
      EXPECT_TRUE(is_accepted && !unexplained.open_at) << Text(index, values);
    } else if (is_accepted) {
      ++(unexplained.open_at ? counts.open : counts.lenient);
      EXPECT_TRUE(may_be_lenient) << Text(index, values);
    } else {
      ++counts.wrong;
    }
    Forget(index);
    model.End(static_cast<Ticket>(index + 1), true);
    return is_right && is_accepted;
  }

  void Forget(std::size_t index) {
    in_flight &= ~(1U << index);
    ended |= 1U << index;
    log += "end " + std::to_string(index + 1) + "; ";
  }

  [[nodiscard]] std::string Text(std::size_t index, const std::array<Value, kBytes>& values) const {
    std::string text;
    for (const Request& each : requests) {
      text += std::array{"read", "write", "fua", "flush"}[static_cast<std::size_t>(each.kind)];
      text += " [" + std::to_string(each.range.begin) + ", " + std::to_string(each.range.end) + ") on " +
              std::to_string(each.connection) + "; ";
    }
    return text + log + std::to_string(index + 1) + " showed " + std::to_string(values[0]) + ", " +
           std::to_string(values[1]);
  }
  std::string log = {};
};

class Enumeration {
 public:
  Enumeration(std::vector<Request> kinds, std::size_t requests_max)
      : kinds_(std::move(kinds)), requests_max_(requests_max) {}

  Counts Run(Sharing sharing) {
    KnownBytes bytes({{.begin = 0, .end = kBytes}});
    bytes.Learn(0, engine::Bytes{engine::PatternByteAt(0, 0), engine::PatternByteAt(0, 1)});
    ConcurrentModel model(std::move(bytes), sharing);
    model.Connect(2);
    const Worlds worlds(/*has_caches=*/sharing == Sharing::kAtFlush);
    GoOn({.model = std::move(model), .worlds = std::vector<Worlds>(kBytes, worlds)});
    return counts_;
  }

 private:
  // NOLINTNEXTLINE(misc-no-recursion): as deep as there are events.
  void GoOn(const Histories& so_far) {
    if (testing::Test::HasFailure()) {
      return;
    }
    for (std::size_t i = 0; i < so_far.requests.size(); ++i) {
      if (!so_far.IsInFlight(i)) {
        continue;
      }
      if (so_far.requests[i].kind == Request::Kind::kRead) {
        ShowAll(so_far, i);
      } else {
        Histories next = so_far;
        next.End(i);
        GoOn(next);
      }
    }
    if (so_far.requests.size() < requests_max_) {
      for (const Request& kind : kinds_) {
        // The connections may change names.
        if (so_far.requests.empty() && kind.connection != 1) {
          continue;
        }
        Histories next = so_far;
        next.log += "begin " + std::to_string(so_far.requests.size() + 1) + "; ";
        next.Begin(kind);
        GoOn(next);
      }
    }
  }

  // NOLINTNEXTLINE(misc-no-recursion)
  void ShowAll(const Histories& so_far, std::size_t index) {
    std::vector<Value> values = {0, kThird};
    for (std::size_t i = 0; i < so_far.requests.size(); ++i) {
      if (Writes(so_far.requests[i])) {
        values.push_back(static_cast<Value>(i + 1));
      }
    }
    const ByteRange range = so_far.requests[index].range;
    for (const Value first : range.Contains(0) ? values : std::vector<Value>{0}) {
      for (const Value second : range.Contains(1) ? values : std::vector<Value>{0}) {
        Histories next = so_far;
        if (next.EndRead(index, {first, second}, counts_)) {
          GoOn(next);
        }
      }
    }
  }

  std::vector<Request> kinds_;
  std::size_t requests_max_;
  Counts counts_;
};

constexpr auto kRanges =
    std::to_array<ByteRange>({{.begin = 0, .end = 1}, {.begin = 1, .end = 2}, {.begin = 0, .end = 2}});

std::vector<Request> Kinds(const std::vector<Request::Kind>& kinds, std::span<const ByteRange> ranges,
                           std::uint8_t connections) {
  std::vector<Request> all;
  for (const Request::Kind kind : kinds) {
    for (const ByteRange range : ranges) {
      for (std::uint8_t connection = 1; connection <= connections; ++connection) {
        all.push_back({.kind = kind, .range = range, .connection = connection});
      }
    }
  }
  return all;
}

// The counts are fixed: a change of the model that accepts more shows here.
struct Expected {
  Counts of_three;
  Counts of_four = {};  // Where four requests are too many, not tried.
};

// NBDSPEC_HISTORY_REQUESTS=3: no histories of four requests.
void Expect(const std::vector<Request>& kinds, Sharing sharing, const Expected& expected) {
  const char* const most = std::getenv("NBDSPEC_HISTORY_REQUESTS");
  const bool has_four = expected.of_four.right != 0 && (most == nullptr || std::string_view(most) == "4");
  const Counts& wanted = has_four ? expected.of_four : expected.of_three;
  const Counts counts = Enumeration(kinds, has_four ? 4 : 3).Run(sharing);
  EXPECT_EQ(counts.right, wanted.right);
  EXPECT_EQ(counts.wrong, wanted.wrong);
  EXPECT_EQ(counts.open, wanted.open);
  EXPECT_EQ(counts.lenient, wanted.lenient);
}

using enum Request::Kind;

TEST(ConcurrentModelExhaustive, WithoutACacheOnTwoBytes) {
  Expect(Kinds({kRead, kWrite}, kRanges, 1), Sharing::kAtOnce,
         {.of_three = {.right = 7'421, .wrong = 8'425, .open = 4'927, .lenient = 100},
          .of_four = {.right = 662'477, .wrong = 587'861, .open = 616'743, .lenient = 19'450}});
}

TEST(ConcurrentModelExhaustive, WithoutACacheOfTwoConnectionsOnOneByte) {
  Expect(Kinds({kRead, kWrite}, std::span(kRanges).first(1), 2), Sharing::kAtOnce,
         {.of_three = {.right = 1'069, .wrong = 323, .open = 420, .lenient = 16},
          .of_four = {.right = 58'141, .wrong = 11'619, .open = 25'236, .lenient = 1'664}});
}

TEST(ConcurrentModelExhaustive, WithCachesOfTwoConnectionsOnOneByte) {
  std::vector<Request> kinds = Kinds({kRead, kWrite, kFua}, std::span(kRanges).first(1), 2);
  kinds.push_back({.kind = kFlush, .range = {}});
  Expect(kinds, Sharing::kAtFlush,
         {.of_three = {.right = 3'563, .wrong = 890, .open = 1'348, .lenient = 33},
          .of_four = {.right = 309'598, .wrong = 48'871, .open = 123'630, .lenient = 6'091}});
}

TEST(ConcurrentModelExhaustive, WithCachesOfTwoConnectionsOnTwoBytes) {
  std::vector<Request> kinds = Kinds({kRead, kWrite, kFua}, kRanges, 2);
  kinds.push_back({.kind = kFlush, .range = {}});
  Expect(kinds, Sharing::kAtFlush, {.of_three = {.right = 83'737, .wrong = 83'608, .open = 61'100, .lenient = 825}});
}

}  // namespace
}  // namespace nbdspec::fuzz
