// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/run/random_script.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <limits>
#include <random>
#include <utility>

#include "engine/base/check.h"
#include "engine/script/step_request.h"
#include "fuzz/live/judge/reply_judge.h"

namespace nbdspec::fuzz {

using engine::ByteRange;
using engine::Command;
using engine::CommandFlag;
using engine::TransmissionFlag;

namespace {

constexpr std::array<std::uint64_t, 7> kSizes = {1, 512, 4096, 32 << 10, 64 << 10, 128 << 10, 1 << 20};
constexpr std::uint64_t kWide = std::uint64_t{1} << 32;     // The shortest length that takes extended headers.
constexpr std::uint64_t kSignBit = std::uint64_t{1} << 31;  // Which lengths of 32 bits may have.
constexpr std::uint16_t kUnknownFlag = 0x8000;
constexpr std::size_t kEdgesMax = 64;
constexpr std::uint64_t kLeavesOneIn = 16;  // Scripts: each takes a handshake.
constexpr std::uint64_t kVisitsOneIn = 24;  // Scripts: each visitor takes one, and over TCP a port for a minute.
constexpr std::uint64_t kCutsOneIn = 4;     // Scripts that send in pieces: each takes a millisecond.
constexpr std::uint64_t kPiecesMax = 12;    // Of a script.
constexpr std::uint64_t kHeaderBytes = 28;  // Of a request.
constexpr std::uint64_t kExtendedHeaderBytes = 32;

class ScriptMaker {
 public:
  ScriptMaker(std::uint64_t seed, const Offer& offer, const std::vector<ByteRange>& windows,
              const RandomScriptOptions& options)
      : random_(seed),
        offer_(offer),
        windows_(windows),
        options_(options),
        block_(std::max(1U, offer.block_size.minimum)) {
    window_ = windows[Below(windows.size())];
    std::ranges::copy_if(options.extents, std::back_inserter(extents_),
                         [&](const ByteRange& extent) { return !Blocks(extent).empty(); });
    hot_ = OneIn(3) ? window_ : HotPart();
    is_polite_ = !OneIn(4) || options.only_offered;
    is_extended_ = offer.headers == engine::HeaderForm::kExtended;
    misuses_extended_headers_ = is_extended_ && !options.only_offered && OneIn(3);
    pattern_ = static_cast<std::uint8_t>(Below(256));
    wait_one_in_ = std::array<std::uint64_t, 4>{1, 4, 16, 1000}[Below(4)];
    const bool has_several = options.connections > 1 && offer.Has(TransmissionFlag::kCanMultiConn);
    connections_ = has_several && OneIn(2) ? static_cast<std::uint64_t>(options.connections) : 1;
    if (OneIn(3)) {
      Crowd();
    }
    pieces_left_ = OneIn(kCutsOneIn) ? 1 + Below(kPiecesMax) : 0;
    payload_max_ = std::max<std::uint64_t>(block_, std::min(options.payload_bytes_max, offer.block_size.maximum));
    if (OneIn(2)) {
      payload_max_ = std::max<std::uint64_t>(block_, std::min<std::uint64_t>(payload_max_, 8192));
    }
    for (const Command command : {Command::kZero, Command::kTrim, Command::kCache, Command::kFlush, Command::kStatus}) {
      if (LegalityOf({.command = command, .length = command == Command::kFlush ? 0 : block_}, offer).is_legal()) {
        offered_.push_back(command);
      }
    }
  }

  engine::Script Make() {
    engine::Script script{.size = offer_.info.size, .initial = engine::ExtentType::kData};
    for (const engine::OptionStep& option : options_.haggling) {
      script.steps.emplace_back(option);
    }
    if (options_.explores && Offers(Command::kStatus)) {
      Explore(script);
      return script;
    }
    if (!options_.power_cuts && OneIn(kVisitsOneIn)) {
      script.steps.emplace_back(Visitors());
    }
    const auto count = 1 + Below(static_cast<std::uint64_t>(options_.steps_max));
    for (std::uint64_t i = 0; i < count; ++i) {
      script.steps.emplace_back(AnyRequest());
      Cut(script);
      LookAtWhatWasChanged(script);
      if (OneIn(wait_one_in_)) {
        script.steps.emplace_back(engine::WaitStep{});
      }
      if (!crowded_.empty() && connections_ > 1 && may_write() && OneIn(6)) {
        LookFromAll(script);
      }
      if (options_.power_cuts && OneIn(64)) {
        script.steps.emplace_back(AnyCut());
      }
    }
    if (!options_.power_cuts && OneIn(kLeavesOneIn)) {
      LeaveUnread(script);
    }
    if (options_.power_cuts && !OneIn(4)) {
      script.steps.emplace_back(AnyCut());
    }
    return script;
  }

 private:
  [[nodiscard]] bool Offers(Command command) const { return std::ranges::find(offered_, command) != offered_.end(); }

  // What there is, before anything is changed.
  void Explore(engine::Script& script) const {
    for (const ByteRange& window : windows_) {
      const ByteRange blocks = BlocksOf(window);
      script.steps.emplace_back(
          engine::RequestStep{.command = Command::kStatus, .offset = blocks.begin, .length = blocks.length()});
    }
    script.steps.emplace_back(engine::WaitStep{});
  }

  // The whole blocks in `range`, and those of them that the window has.
  [[nodiscard]] ByteRange Blocks(ByteRange range) const { return BlocksOf(Intersect(range, window_)); }
  [[nodiscard]] ByteRange BlocksOf(ByteRange range) const {
    const ByteRange blocks = {.begin = Aligned(range.begin + block_ - 1), .end = Aligned(range.end)};
    return blocks.begin < blocks.end ? blocks : ByteRange{};
  }

  // An extent, its beginning or its end, or across its end.
  void AimAtExtent(engine::RequestStep& request) {
    constexpr auto kCommands = std::to_array({Command::kZero, Command::kZero, Command::kZero, Command::kZero,
                                              Command::kTrim, Command::kTrim, Command::kStatus, Command::kWrite});
    const ByteRange extent = Blocks(extents_[Below(extents_.size())]);
    const std::uint64_t some = Aligned(std::min(extent.length(), kSizes[Below(kSizes.size())]) + block_ - 1);
    ByteRange range = extent;
    switch (Below(6)) {
      case 0:
        range.end = range.begin + some;
        break;
      case 1:
        range.begin = range.end - some;
        break;
      case 2:
        range = Blocks({.begin = extent.end - some, .end = extent.end + kSizes[Below(kSizes.size())]});
        break;
      default:
        break;
    }
    const Command command = kCommands[Below(kCommands.size())];
    request = {.command = Offers(command) || (command == Command::kWrite && may_write()) ? command : Command::kRead,
               .offset = range.begin,
               .length = range.length(),
               .connection = request.connection};
    request.flags = FlagsOf(request.command);
    if (request.command == Command::kRead || request.command == Command::kWrite) {
      request.length = std::min(request.length, Aligned(payload_max_));
    }
    request.pattern = request.command == Command::kWrite ? pattern_++ : std::uint8_t{0};
    if (engine::Changes(static_cast<std::uint16_t>(request.command)) && OneIn(2)) {
      changed_ = {.begin = request.offset, .end = request.offset + request.length};
    }
  }

  // The end of what was changed, which is most likely wrong.
  void LookAtWhatWasChanged(engine::Script& script) {
    const ByteRange range = std::exchange(changed_, {});
    if (!range.empty()) {
      const std::uint64_t length = std::min(range.length(), Aligned(payload_max_));
      script.steps.emplace_back(engine::WaitStep{});
      script.steps.emplace_back(engine::RequestStep{.offset = range.end - length, .length = length});
    }
  }

  // What stands last in `script` is cut, or goes with what comes after it.
  void Cut(engine::Script& script) {
    const auto* const request = std::get_if<engine::RequestStep>(&script.steps.back());
    const std::uint8_t connection = request->connection;
    for (; pieces_left_ > 0 && OneIn(2); --pieces_left_) {
      const std::uint64_t header = is_extended_ ? kExtendedHeaderBytes : kHeaderBytes;
      const std::uint64_t bytes = OneIn(3) ? header + Below(3) - 1 : 1 + Below(OneIn(2) ? header : 600);
      script.steps.emplace_back(
          engine::SendStep{.bytes = static_cast<std::uint32_t>(OneIn(6) ? 0 : bytes), .connection = connection});
    }
  }

  engine::VisitStep Visitors() {
    const std::uint64_t most = std::array<std::uint64_t, 3>{8, 64, 200}[Below(3)];
    return {.count = static_cast<std::uint16_t>(1 + Below(most)),
            .visit = static_cast<engine::Visit>(Below(engine::kVisitCount))};
  }

  // All connections go while they are sent more than sockets hold.
  void LeaveUnread(engine::Script& script) {
    script.steps.emplace_back(engine::WaitStep{});
    constexpr std::uint64_t kEachBytes = 64 << 10;
    const std::uint64_t length = std::max<std::uint64_t>(
        block_, std::min({Aligned(payload_max_), Aligned(window_.length()), Aligned(kEachBytes)}));
    for (std::uint64_t left = 8 + Below(8); left > 0; --left) {
      for (std::uint64_t connection = 1; connection <= connections_; ++connection) {
        script.steps.emplace_back(engine::RequestStep{
            .offset = Aligned(window_.begin), .length = length, .connection = static_cast<std::uint8_t>(connection)});
      }
    }
    script.steps.emplace_back(engine::LeaveStep{});
  }

  [[nodiscard]] bool may_write() const { return !offer_.Has(TransmissionFlag::kReadOnly); }

  engine::RequestStep AnyRequest() {
    if (misuses_extended_headers_ && OneIn(8)) {
      return MisusesExtendedHeaders();
    }
    return is_polite_ || !OneIn(16) ? Polite() : Impolite();
  }

  // What keeps nothing shows most.
  engine::CutStep AnyCut() {
    if (OneIn(2)) {
      return {};
    }
    return {.cut = {.keeps = static_cast<engine::PowerCut::Keeps>(Below(engine::kPowerCutKeepsCount)),
                    .one = Below(32),
                    .seed = Below(1 << 16),
                    .tears = OneIn(2)}};
  }

  std::uint64_t Below(std::uint64_t bound) { return bound == 0 ? 0 : random_() % bound; }
  bool OneIn(std::uint64_t count) { return Below(count) == 0; }
  std::uint16_t Sometimes(std::uint64_t one_in, std::uint16_t flag) { return OneIn(one_in) ? flag : std::uint16_t{0}; }
  [[nodiscard]] std::uint64_t Aligned(std::uint64_t value) const { return value / block_ * block_; }

  ByteRange HotPart() {
    const std::uint64_t length = std::min<std::uint64_t>(window_.length(), kSizes[3 + Below(4)]);
    const std::uint64_t room = window_.length() - length;
    const std::uint64_t begin = OneIn(4) ? room : Below(room + 1) / 4096 * 4096;
    return {.begin = window_.begin + begin, .end = window_.begin + begin + length};
  }

  // Requests meet in a few places, and often in flight.
  void Crowd() {
    const std::uint64_t count = 1 + Below(3);
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t length = std::max<std::uint64_t>(block_, kSizes[1 + Below(2)]);
      const std::uint64_t begin = Aligned(hot_.begin + Below(hot_.length()) / length * length);
      const ByteRange place = Intersect({.begin = begin, .end = begin + length}, window_);
      if (place.length() == length) {
        crowded_.push_back(place);
      }
    }
    wait_one_in_ = std::max<std::uint64_t>(wait_one_in_, 4);
  }

  // One connection writes, so that all have to see it; then they look: the writer first.
  void LookFromAll(engine::Script& script) {
    const ByteRange range = CrowdedRange();
    engine::RequestStep request{.command = Command::kWrite,
                                .offset = range.begin,
                                .length = static_cast<std::uint32_t>(std::min(range.length(), Aligned(payload_max_))),
                                .flags = FlagsOf(Command::kWrite),
                                .pattern = pattern_++,
                                .connection = static_cast<std::uint8_t>(1 + Below(connections_))};
    const bool may_flush = Offers(Command::kFlush);
    request.flags |=
        offer_.Has(TransmissionFlag::kSendFua) && (OneIn(2) || !may_flush) ? CommandFlag::kFua : std::uint16_t{0};
    const auto add = [&](const engine::RequestStep& step) {
      script.steps.emplace_back(step);
      script.steps.emplace_back(engine::WaitStep{});
    };
    add(request);
    if (may_flush && (request.flags & CommandFlag::kFua) == 0) {
      add({.command = Command::kFlush, .connection = static_cast<std::uint8_t>(1 + Below(connections_))});
    }
    request.command = Command::kRead;
    request.flags = 0;
    request.pattern = 0;
    add(request);
    for (std::uint64_t connection = 1; connection <= connections_; ++connection) {
      request.connection = static_cast<std::uint8_t>(connection);
      script.steps.emplace_back(request);
    }
  }

  // Mostly all of a crowded place, else a part of it.
  ByteRange CrowdedRange() {
    ByteRange range = crowded_[Below(crowded_.size())];
    if (OneIn(4)) {
      const std::uint64_t blocks = range.length() / block_;
      const std::uint64_t skipped = Below(blocks);
      range.begin += skipped * block_;
      range.end = range.begin + (1 + Below(blocks - skipped)) * block_;
    }
    return range;
  }

  std::uint64_t Nudge(std::uint64_t value) {
    switch (Below(6)) {
      case 0:
        return value + 1;
      case 1:
        return value == 0 ? 0 : value - 1;
      case 2:
        return value + kSizes[Below(3)];
      default:
        return value;
    }
  }

  std::uint64_t Offset() {
    std::uint64_t offset = 0;
    if (!edges_.empty() && OneIn(2)) {
      offset = Nudge(edges_[Below(edges_.size())]);
    } else if (OneIn(8)) {
      offset = Nudge(window_.end - std::min(window_.length(), kSizes[Below(kSizes.size())]));
    } else {
      const std::uint64_t unit = kSizes[Below(kSizes.size())];
      offset = Nudge(hot_.begin + Below(hot_.length()) / unit * unit);
    }
    return Aligned(std::clamp(offset, window_.begin, window_.end - std::min<std::uint64_t>(block_, window_.length())));
  }

  // At least a block, and inside the window.
  std::uint32_t Length(std::uint64_t offset, std::uint64_t length_max) {
    const std::uint64_t room = std::min(window_.end - offset, length_max);
    std::uint64_t length = 0;
    if (OneIn(4)) {
      length = Below(room) + 1;
    } else if (!edges_.empty() && OneIn(3)) {
      const std::uint64_t edge = edges_[Below(edges_.size())];
      length = edge > offset ? Nudge(edge - offset) : room;
    } else {
      length = Nudge(kSizes[Below(kSizes.size())] * (1 + Below(3)));
    }
    length = std::clamp<std::uint64_t>(Aligned(std::min(length, room)), block_, std::max<std::uint64_t>(room, block_));
    return static_cast<std::uint32_t>(
        std::min<std::uint64_t>(length, Aligned(std::numeric_limits<std::uint32_t>::max())));
  }

  Command ReadOrWrite(bool reads) { return reads || !may_write() ? Command::kRead : Command::kWrite; }

  Command AnyCommand() {
    if (!crowded_.empty() && OneIn(3)) {
      return ReadOrWrite(OneIn(2));
    }
    constexpr std::uint64_t kOthers = 5;
    const std::uint64_t choice = Below(10);
    if (choice < kOthers && !offered_.empty()) {
      // FLUSH and CACHE change little: they get the share of one.
      const Command command = offered_[Below(offered_.size())];
      return (command == Command::kFlush || command == Command::kCache) && OneIn(2) ? Command::kRead : command;
    }
    return ReadOrWrite(choice < 8);
  }

  std::uint16_t FlagsOf(Command command) {
    const std::uint16_t fua = offer_.Has(TransmissionFlag::kSendFua) ? CommandFlag::kFua : std::uint16_t{0};
    switch (command) {
      case Command::kRead:
        return offer_.structured_replies && offer_.Has(TransmissionFlag::kSendDf) ? Sometimes(4, CommandFlag::kDf)
                                                                                  : std::uint16_t{0};
      case Command::kZero:
        return Sometimes(3, CommandFlag::kNoHole) | Sometimes(options_.power_cuts ? 3 : 8, fua) |
               (offer_.Has(TransmissionFlag::kSendFastZero) ? Sometimes(6, CommandFlag::kFastZero) : 0);
      case Command::kStatus:
        return Sometimes(3, CommandFlag::kReqOne) | (is_extended_ && offer_.Has(TransmissionFlag::kBlockStatusPayload)
                                                         ? Sometimes(2, CommandFlag::kPayloadLen)
                                                         : 0);
      case Command::kWrite:
      case Command::kTrim:
        return Sometimes(8, fua);
      default:
        return 0;
    }
  }

  engine::RequestStep Polite() {
    engine::RequestStep request{.command = wants_write_ ? Command::kWrite : AnyCommand()};
    wants_write_ = false;
    request.connection = static_cast<std::uint8_t>(1 + Below(connections_));
    request.flags = FlagsOf(request.command);
    if (request.command == Command::kFlush) {
      return request;
    }
    const bool has_payload = request.command == Command::kRead || request.command == Command::kWrite;
    if (!crowded_.empty() && !OneIn(4)) {
      const ByteRange range = CrowdedRange();
      request.offset = range.begin;
      request.length = static_cast<std::uint32_t>(std::min(range.length(), Aligned(payload_max_)));
    } else if (request.command == Command::kStatus && OneIn(4)) {
      request.offset = Aligned(window_.begin);
      request.length = Length(request.offset, window_.length());
    } else {
      request.offset = Offset();
      request.length = Length(request.offset, has_payload ? payload_max_ : window_.length());
    }
    if (request.command == Command::kWrite) {
      request.pattern = pattern_++;
    }
    if ((request.flags & CommandFlag::kPayloadLen) != 0 && OneIn(2)) {
      request.contexts = engine::NamedContexts::kOne;
    }
    if (!extents_.empty() && !OneIn(4)) {
      AimAtExtent(request);
    } else if (!has_payload && OneIn(16)) {
      is_extended_ ? Widen(request) : WidenTo32Bits(request);
    }
    Remember(request);
    // A fresh zero or trim is worth a write into it.
    wants_write_ = (request.command == Command::kZero || request.command == Command::kTrim) && OneIn(4);
    return request;
  }

  // To the end of the export: whole blocks.
  [[nodiscard]] std::uint64_t RoomFrom(std::uint64_t offset) const {
    return Aligned(offer_.info.size) - std::min(Aligned(offer_.info.size), offset);
  }

  // From the first window into the second one, where the export is so large.
  void Widen(engine::RequestStep& request) {
    const std::uint64_t room = RoomFrom(request.offset);
    if (room >= kWide) {
      const std::uint64_t most = std::min(room, Aligned(std::numeric_limits<std::uint64_t>::max()));
      request.length = OneIn(2) ? most : std::min(most, kWide + Aligned(Nudge(kSizes[Below(kSizes.size())])));
    }
  }

  // The same as far as 32 bits go; but not what a server may have to do byte by byte.
  void WidenTo32Bits(engine::RequestStep& request) {
    const bool is_quick = request.command == Command::kStatus || request.command == Command::kTrim ||
                          (request.flags & CommandFlag::kFastZero) != 0;
    const std::uint64_t room = RoomFrom(request.offset);
    if (is_quick && room >= kSignBit) {
      const std::uint64_t most = std::min(room, Aligned(kWide - 1));
      request.length = OneIn(2) ? most : std::min(most, Aligned(Nudge(kSignBit)));
    }
  }

  // What only extended headers can get wrong: a payload, or a length that would be right in 32 bits. Often of
  // BLOCK_STATUS, of which most can be said.
  engine::RequestStep MisusesExtendedHeaders() {
    engine::RequestStep request = Polite();
    if (OneIn(2)) {
      request.command = Command::kStatus;
      request.flags = FlagsOf(Command::kStatus);
      request.length = std::max<std::uint64_t>(request.length, block_);
      request.pattern = 0;
    }
    if (request.command == Command::kWrite) {
      request.is_unannounced = OneIn(4);  // After which few servers go on.
    } else if (OneIn(4) && request.command != Command::kFlush && request.command != Command::kRead) {
      request.offset = OneIn(2) ? 0 : request.offset;
      request.length += kWide;
    } else if (request.command == Command::kStatus) {
      request.flags |= CommandFlag::kPayloadLen;
      request.contexts = static_cast<engine::NamedContexts>(Below(engine::kNamedContextsCount));
    } else {
      request.flags |= CommandFlag::kPayloadLen;
      request.length = OneIn(2) ? block_ : 1 + Below(engine::kUselessPayloadBytesMax);
    }
    return request;
  }

  // A command that no client may send to this server, if there is one.
  void AskForWhatIsNotOffered(engine::RequestStep& request) {
    constexpr auto kAll =
        std::to_array({Command::kWrite, Command::kZero, Command::kTrim, Command::kCache, Command::kStatus});
    const Command command = kAll[Below(kAll.size())];
    const bool is_offered = command == Command::kWrite ? may_write() : Offers(command);
    if (is_offered) {
      return;
    }
    request = {.command = command,
               .offset = request.offset,
               .length = std::clamp<std::uint64_t>(request.length, block_, Aligned(payload_max_)),
               .connection = request.connection};
    if (command == Command::kWrite) {
      request.pattern = pattern_++;
    }
  }

  // What a client may not send, or what has no defined answer.
  engine::RequestStep Impolite() {
    engine::RequestStep request = Polite();
    switch (Below(7)) {
      case 0:
        request.flags |= kUnknownFlag;
        break;
      case 1:
        request.flags ^= CommandFlag::kReqOne;
        break;
      case 2:
        request.length = 0;
        break;
      case 3:
        request.flags |= std::array{CommandFlag::kFua, CommandFlag::kNoHole, CommandFlag::kDf}[Below(3)];
        break;
      case 4:
        AskForWhatIsNotOffered(request);
        break;
      case 5:
        request.offset += block_ > 1 ? 1 : 0;
        request.flags |= request.command == Command::kZero ? CommandFlag::kFastZero : std::uint16_t{0};
        break;
      default:
        request.offset = OneIn(4)
                             ? std::numeric_limits<std::uint64_t>::max() - Below(8192)
                             : Aligned(offer_.info.size - std::min<std::uint64_t>(offer_.info.size, Below(2) * block_));
        request.length =
            std::max<std::uint64_t>(std::min<std::uint64_t>(request.length, 8192), std::uint64_t{2} * block_);
        break;
    }
    if (request.command == Command::kFlush) {
      request.offset = 0;
      request.length = 0;
    }
    return request;
  }

  void Remember(const engine::RequestStep& request) {
    for (const std::uint64_t edge : {request.offset, request.offset + request.length}) {
      if (edges_.size() < kEdgesMax) {
        edges_.push_back(edge);
      } else {
        edges_[Below(kEdgesMax)] = edge;
      }
    }
  }

  std::mt19937_64 random_;  // Its numbers are the same everywhere, which distributions do not promise.
  const Offer& offer_;
  const std::vector<ByteRange>& windows_;
  const RandomScriptOptions& options_;
  std::uint32_t block_;
  ByteRange window_;
  ByteRange hot_;
  std::vector<ByteRange> crowded_;
  std::vector<ByteRange> extents_;
  ByteRange changed_;         // Of an extent, just now.
  std::uint8_t pattern_ = 0;  // Of the next write: those that meet differ in every byte.
  bool is_polite_ = true;
  bool wants_write_ = false;
  bool is_extended_ = false;
  bool misuses_extended_headers_ = false;
  std::uint64_t wait_one_in_ = 1;
  std::uint64_t connections_ = 1;
  std::uint64_t payload_max_ = 0;
  std::uint64_t pieces_left_ = 0;
  std::vector<Command> offered_;
  std::vector<std::uint64_t> edges_;
};

}  // namespace

engine::Script RandomScript(std::uint64_t seed, const Offer& offer, const std::vector<ByteRange>& windows,
                            const RandomScriptOptions& options) {
  NBDSPEC_CHECK(!windows.empty() && options.steps_max > 0);
  return ScriptMaker(seed, offer, windows, options).Make();
}

}  // namespace nbdspec::fuzz
