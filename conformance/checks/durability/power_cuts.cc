// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/checks/durability/power_cuts.h"

#include <map>

#include "engine/base/quoted.h"
#include "engine/durability/request_history.h"

namespace nbdspec::conformance {

namespace {

using engine::PowerCut;
using engine::RequestHistory;

// Errors: the server does not start on what is left within the time of the check: a slow start is nobody's fault.
std::expected<void, engine::Trouble> PowerUp(CheckContext& context) {
  Storage& storage = *context.peer.storage();
  const auto up = storage.PowerUp(context.limits.deadline);
  storage.SetSettled(up.has_value());
  return up;
}

// The least that may be kept shows a flush that does nothing; the other one, a server that counts on an order in which
// the disk writes, or on whole requests. Each takes a start of the server, which some need seconds for: one is enough
// where the disk has nothing to lose.
std::vector<PowerCut> CutsFor(std::uint64_t seed) {
  using Keeps = PowerCut::Keeps;
  return {
      {.keeps = Keeps::kNothing},
      {.keeps = seed % 2 == 0 ? Keeps::kAllButOne : Keeps::kSome, .one = seed / 2 % 8, .seed = seed, .tears = true}};
}

// Whether a power cut now takes anything with it, so that it matters what it keeps.
bool CanLose(CheckContext& context) {
  bool can_lose = false;
  context.peer.storage()->With([&](const engine::VolatileDisk& disk) { can_lose = disk.volatile_count() > 0; });
  return can_lose;
}

std::string Describe(const PowerCut& cut) {
  switch (cut.keeps) {
    case PowerCut::Keeps::kNothing:
      return "a power cut that kept nothing of what was not durable";
    case PowerCut::Keeps::kEverything:
      return "a power cut that kept everything";
    case PowerCut::Keeps::kAllButOne:
      return "a power cut within one change of the disk that was not durable";
    case PowerCut::Keeps::kOnlyOne:
      return "a power cut that kept one change of the disk";
    case PowerCut::Keeps::kSome:
      return "a power cut that kept some sectors of what was not durable";
  }
  CheckFailed("unknown PowerCut::Keeps");
}

Step MustBeUp(const std::expected<void, engine::Trouble>& up, const PowerCut& cut) {
  if (!up) {
    return Stop(Broken(fmt::format("after {} the server does not start: {}", Describe(cut), up.error().sentence),
                       "a server starts on what a power cut left"));
  }
  return {};
}

// Errors: the disk is damaged, or the server does not start on what is left.
Step CutPowerAndLookForDamage(CheckContext& context, const PowerCut& cut) {
  constexpr std::size_t kShownBytesMax = 200;
  Storage& storage = *context.peer.storage();
  storage.CutPower(cut);
  const auto damage = storage.FindDamage(context.limits.deadline);
  const auto up = PowerUp(context);
  if (!damage) {
    return Stop(Inconclusive(damage.error().sentence));
  }
  if (*damage) {
    return Stop(Broken(fmt::format("after {} the checker of the disk's format says {}", Describe(cut),
                                   engine::Quoted(**damage, kShownBytesMax)),
                       "a disk is whole after a power cut"));
  }
  return MustBeUp(up, cut);
}

// The requests of a scenario on their way, and what is known of them.
class Scenario {
 public:
  // `failure`: of DiskFails(). Requests may be answered by errors where there is one.
  Scenario(CheckContext& context, ByteRange stage, const std::optional<engine::DiskFailure>& failure,
           bool flush_covers_given_up)
      : context_(context),
        stage_(stage),
        failure_(failure),
        history_(context.Offers(Feature::kMultiConn), flush_covers_given_up) {}

  // Remembers what stands on the stage before everything, and writes other bytes from now on than stand there: what an
  // earlier scenario wrote would hide that these are lost.
  Step LookBefore(const Acts& acts) {
    NBDSPEC_TRY(entered, context_.EnterWithChunks());
    NBDSPEC_TRY(before, ReadStage(entered));
    before_ = std::move(before);
    shift_ = context_.random();
    for (int tries = 0; tries < int{kShifts} && HidesALoss(acts); ++tries) {
      ++shift_;
    }
    return {};
  }

  // Sends all of `acts`, and has each answered. Errors: one was not, or by an error that is not expected, which leaves
  // nothing to judge.
  Step Play(const Acts& acts) {
    std::vector<Pending> pending;
    for (const Act& act : acts) {
      if (act.disk != Act::Disk::kIsAsItWas) {
        NBDSPEC_TRY(done, AwaitAll(pending));
        SetDisk(context_, act.disk == Act::Disk::kFails ? failure_ : std::nullopt);
        continue;
      }
      NBDSPEC_TRY(session, SessionOf(act.connection));
      Request request = RequestOf(act);
      request.cookie = session->NextCookie();
      const RequestHistory::Number number =
          act.command == CommandType::kFlush
              ? history_.BeginFlush(act.connection)
              : history_.BeginWrite(RangeOf(act), (act.flags & CommandFlag::kFua) != 0, act.connection);
      requests_[number] = act;
      session->Send(request);
      pending.push_back({.act = act, .cookie = request.cookie, .number = number});
      if (act.is_awaited) {
        NBDSPEC_TRY(done, Await(pending.back()));
        pending.pop_back();
      }
    }
    return AwaitAll(pending);
  }

  ~Scenario() { SetDisk(context_, {}); }
  Scenario(const Scenario&) = delete;
  Scenario& operator=(const Scenario&) = delete;

  // A disk that failed works again, and may be damaged.
  Step Cut(const PowerCut& cut) {
    SetDisk(context_, {});
    return failure_ ? MustBeUp(CutPowerOf(context_, cut), cut) : CutPowerAndLookForDamage(context_, cut);
  }

  // Looks at every byte of the stage, after a power cut.
  Judgement LookAfter(const PowerCut& cut) {
    NBDSPEC_TRY(entered, context_.EnterWithChunks());
    NBDSPEC_TRY(after, ReadStage(entered));
    context_.peer.storage()->SetSettled(true);  // The next check begins here: a start of a server may take seconds.
    for (const ByteRange cell : history_.CellsOf(stage_)) {
      const std::vector<RequestHistory::Number> may_stand = history_.MayStandAt(cell.begin);
      for (std::uint64_t offset = cell.begin; offset < cell.end; ++offset) {
        const std::uint8_t byte = after[offset - stage_.begin];
        if (std::ranges::none_of(may_stand, [&](auto number) { return Left(number, offset, byte); })) {
          const std::string whose = fmt::format("{}", fmt::join(NamesOf(may_stand), " or "));
          return Broken(
              fmt::format("{:#04x} at offset {} after {}: what {} left is lost", byte, offset, Describe(cut), whose),
              fmt::format("what {} left", whose));
        }
      }
    }
    return Holds();
  }

 private:
  static constexpr std::uint64_t kReadBytes = 1 << 20;
  static constexpr unsigned kShifts = 251;  // A prime: how many patterns there are.

  struct Pending {
    Act act;
    std::uint64_t cookie;
    RequestHistory::Number number;
  };

  [[nodiscard]] ByteRange RangeOf(const Act& act) const {
    return {.begin = stage_.begin + act.place.begin, .end = stage_.begin + act.place.end};
  }

  // What the request `number` writes at `offset`: never zero, and different for each number.
  [[nodiscard]] std::uint8_t ByteOf(RequestHistory::Number number, std::uint64_t offset) const {
    return static_cast<std::uint8_t>(1 + (offset + 97 * number + shift_ % kShifts) % kShifts);
  }

  // Whether one of `acts` writes what stands there already. The first bytes tell.
  [[nodiscard]] bool HidesALoss(const Acts& acts) const {
    RequestHistory::Number number = 0;
    for (const Act& act : acts) {
      number += act.disk == Act::Disk::kIsAsItWas ? 1 : 0;
      const std::uint64_t end = std::min(act.place.end, act.place.begin + 16);
      bool is_same = act.command == CommandType::kWrite && act.disk == Act::Disk::kIsAsItWas;
      for (std::uint64_t at = act.place.begin; at < end; ++at) {
        is_same = is_same && before_[at] == ByteOf(number, stage_.begin + at);
      }
      if (is_same) {
        return true;
      }
    }
    return false;
  }

  [[nodiscard]] Request RequestOf(const Act& act) const {
    if (act.command != CommandType::kWrite) {
      return RequestFor(act.command, act.command == CommandType::kFlush ? ByteRange{} : RangeOf(act), act.flags);
    }
    Bytes data(act.place.length());
    for (std::size_t i = 0; i < data.size(); ++i) {
      data[i] = ByteOf(requests_.size() + 1, RangeOf(act).begin + i);
    }
    return WriteOf(RangeOf(act).begin, std::move(data), act.flags);
  }

  std::expected<Session*, Judgement> SessionOf(std::uint8_t connection) {
    auto found = sessions_.find(connection);
    if (found == sessions_.end()) {
      NBDSPEC_TRY(entered, context_.EnterWithChunks());
      found = sessions_.emplace(connection, std::move(entered)).first;
    }
    return &found->second.session;
  }

  Step Await(const Pending& pending) {
    NBDSPEC_TRY(session, SessionOf(pending.act.connection));
    NBDSPEC_TRY(answer, session->NextAnswer(pending.cookie));
    if (answer.error() != NbdError::kOk && !failure_) {
      return Stop(Inconclusive(fmt::format("{}: {}", NameOf(pending.number), ErrorName(answer.error()))));
    }
    history_.End(pending.number, answer.error() == NbdError::kOk);
    return {};
  }

  Step AwaitAll(std::vector<Pending>& pending) {
    for (const Pending& each : std::exchange(pending, {})) {
      NBDSPEC_TRY(done, Await(each));
    }
    return {};
  }

  std::expected<Bytes, Judgement> ReadStage(Entered& entered) {
    Bytes all;
    for (std::uint64_t at = stage_.begin; at < stage_.end; at += kReadBytes) {
      NBDSPEC_TRY(bytes, ReadBytes(entered.session, {.begin = at, .end = std::min(stage_.end, at + kReadBytes)}));
      all.insert(all.end(), bytes.begin(), bytes.end());
    }
    return all;
  }

  // Whether `number` may have left `byte` at `offset`.
  [[nodiscard]] bool Left(RequestHistory::Number number, std::uint64_t offset, std::uint8_t byte) const {
    if (number == RequestHistory::kBefore) {
      return byte == before_[offset - stage_.begin];
    }
    const std::uint16_t command = requests_.at(number).command;
    return command == CommandType::kTrim ||  // trim.client-no-assumption
           history_.MayLeaveAnything(number) || byte == (command == CommandType::kWrite ? ByteOf(number, offset) : 0);
  }

  [[nodiscard]] std::string NameOf(RequestHistory::Number number) const {
    if (number == RequestHistory::kBefore) {
      return "nobody overwrote";
    }
    const Act& act = requests_.at(number);
    return fmt::format("request {} ({} of {} bytes at {}{}{})", number, CommandName(act.command), act.place.length(),
                       RangeOf(act).begin, (act.flags & CommandFlag::kFua) != 0 ? ", FUA" : "",
                       history_.IsCovered(number) ? "" : ", not covered");
  }
  [[nodiscard]] std::vector<std::string> NamesOf(const std::vector<RequestHistory::Number>& numbers) const {
    std::vector<std::string> names;
    std::ranges::transform(numbers, std::back_inserter(names), [&](auto number) { return NameOf(number); });
    return names;
  }

  CheckContext& context_;
  ByteRange stage_;
  std::optional<engine::DiskFailure> failure_;
  Bytes before_;
  std::uint64_t shift_ = 0;
  RequestHistory history_;
  std::map<RequestHistory::Number, Act> requests_;
  std::map<std::uint8_t, Entered> sessions_;
};

// Where the scenario takes place: `bytes` in the middle of the export, or its last ones. What stands there is durable
// and in no server's memory, as it is after any cut.
std::expected<ByteRange, Judgement> StageFor(CheckContext& context, const Acts& acts, std::uint64_t bytes,
                                             Stage stage) {
  const bool was_settled = context.peer.storage()->is_settled();
  NBDSPEC_TRY(entered, context.EnterWithChunks());
  const std::uint64_t minimum = entered.block_size().minimum;
  const bool is_unaligned = std::ranges::any_of(
      acts, [&](const Act& act) { return act.place.begin % minimum != 0 || act.place.end % minimum != 0; });
  if (is_unaligned) {
    return Stop(NotApplicable(fmt::format("the minimum block size is {}", minimum)));
  }
  for (const Act& act : acts) {
    NBDSPEC_TRY(taken, MayHavePayload(entered, act.command == CommandType::kWrite ? act.place.length() : 0));
  }
  NBDSPEC_TRY(middle, ScratchRange(entered, bytes / GridOf(entered)));
  const std::uint64_t size = entered.size() / minimum * minimum;
  const ByteRange range = stage == Stage::kMiddle ? middle : ByteRange{.begin = size - bytes, .end = size};
  if (!was_settled) {
    const PowerCut keeps_all = {.keeps = PowerCut::Keeps::kEverything};
    NBDSPEC_TRY(settled, MustBeUp(CutPowerOf(context, keeps_all), keeps_all));
  }
  return range;
}

Judgement PlayOnce(CheckContext& context, const Acts& acts, ByteRange stage, const PowerCut& cut,
                   const engine::DiskFailure& failure, bool flush_covers_given_up = false) {
  Scenario scenario(context, stage, failure, flush_covers_given_up);
  NBDSPEC_TRY(looked, scenario.LookBefore(acts));
  NBDSPEC_TRY(played, scenario.Play(acts));
  NBDSPEC_TRY(up, scenario.Cut(cut));
  return scenario.LookAfter(cut);
}

}  // namespace

void SetDisk(CheckContext& context, const std::optional<engine::DiskFailure>& failure) {
  context.peer.storage()->With([&](engine::VolatileDisk& disk) { disk.Fail(failure); });
}

std::expected<void, engine::Trouble> CutPowerOf(CheckContext& context, const PowerCut& cut) {
  context.peer.storage()->CutPower(cut);
  return PowerUp(context);
}

CheckRun Survives(Acts acts, std::uint64_t stage_bytes, Stage stage) {
  return [=](CheckContext& context) -> Judgement {
    NBDSPEC_TRY(range, StageFor(context, acts, stage_bytes, stage));
    Judgement judgement;
    for (const PowerCut& cut : CutsFor(context.random())) {
      Scenario scenario(context, range, {}, /*flush_covers_given_up=*/false);
      NBDSPEC_TRY(looked, scenario.LookBefore(acts));
      NBDSPEC_TRY(played, scenario.Play(acts));
      const bool can_lose = CanLose(context);
      NBDSPEC_TRY(up, scenario.Cut(cut));
      judgement = scenario.LookAfter(cut);
      if (!judgement.holds() || !can_lose) {
        break;
      }
    }
    return judgement;
  };
}

CheckRun Tells(Acts acts, engine::DiskFailure failure, std::uint64_t stage_bytes, PowerCut::Keeps keeps) {
  return [=](CheckContext& context) -> Judgement {
    NBDSPEC_TRY(range, StageFor(context, acts, stage_bytes, Stage::kMiddle));
    return PlayOnce(context, acts, range, {.keeps = keeps}, failure);
  };
}

CheckRun MakesUpFor(Acts acts, engine::DiskFailure failure, std::uint64_t stage_bytes) {
  return [=](CheckContext& context) -> Judgement {
    NBDSPEC_TRY(range, StageFor(context, acts, stage_bytes, Stage::kMiddle));
    return PlayOnce(context, acts, range, {.keeps = PowerCut::Keeps::kNothing}, failure,
                    /*flush_covers_given_up=*/true);
  };
}

}  // namespace nbdspec::conformance
