// SPDX-License-Identifier: BSD-3-Clause
#include "engine/script/script_bytes.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/byte_reader.h"

namespace nbdspec::engine {
namespace {

// How a byte chooses an offset or a length: kChoices[byte % 8]. Edges weigh most: that is where maps go wrong.
enum class Choice { kSmall, kEdge, kInteresting, kInside, kLiteral };
constexpr std::array<Choice, 8> kChoices = {Choice::kSmall, Choice::kSmall,  Choice::kEdge,        Choice::kEdge,
                                            Choice::kEdge,  Choice::kInside, Choice::kInteresting, Choice::kLiteral};
constexpr std::uint8_t kLiteralByte = 7;

// How the head chooses a size: small ones twice, for there overlaps are likely and the bitmap oracle applies.
enum class SizeChoice : std::uint8_t { kSmall, kTiny, kInteresting, kLiteral };

constexpr std::uint64_t kSmallMax = 64;

constexpr std::array<std::uint64_t, 11> kInteresting = {
    0, 1, 512, 4096, 65536, 1ULL << 31, 1ULL << 32, 3ULL << 32, 1ULL << 62, 1ULL << 63, UINT64_MAX};

// -1, 0 or +1, from what a choice byte has left.
constexpr std::uint64_t Nudge(std::uint64_t number, unsigned selector) { return number + selector % 3 - 1; }

// What a record is. A first byte that is one of these numbers means the record as it is: none of its bits is bent to
// make a likely step.
enum class Code : std::uint8_t {
  kDelivery = 0xee,
  kVisit = 0xef,
  kRequest = 0xf0,
  kWait = 0xf1,
  kOption = 0xf2,
  kName = 0xf3,
  kCut = 0xf4,
  kMore = 0xf5,
  kLeave = 0xf6,
  kSend = 0xf7,
  kAdd = 0xf8,
  kForEach = 0xfd,
  kLookup = 0xfe,
  kClearOrAdd = 0xff,
};

// Of a name's record: the count of its bytes, and what it does.
constexpr std::uint8_t kNameBytesMax = kScriptRecordBytes - 2;
constexpr std::uint8_t kNameCountBits = 0x1f;
constexpr std::uint8_t kNameContinues = 0x20;
constexpr std::uint8_t kNameIsExport = 0x40;

// In the detail of a cut.
constexpr std::uint8_t kTears = 0x80;

// In the detail of what is more of a request, beside the contexts.
constexpr std::uint8_t kIsUnannounced = 0x80;

constexpr auto kCommands = std::to_array<Command>({Command::kStatus, Command::kWrite, Command::kZero, Command::kTrim,
                                                   Command::kRead, Command::kStatus, Command::kWrite, Command::kZero,
                                                   Command::kTrim, Command::kRead, Command::kCache, Command::kFlush});

// The flags that each command may have: most requests should get as far as to be carried out.
constexpr std::pair<Command, std::uint16_t> kFlags[] = {
    {Command::kRead, CommandFlag::kDf},
    {Command::kWrite, CommandFlag::kFua},
    {Command::kTrim, CommandFlag::kFua},
    {Command::kZero, CommandFlag::kFua | CommandFlag::kNoHole | CommandFlag::kFastZero},
    {Command::kStatus, CommandFlag::kReqOne},
    {Command::kCache, 0},
    {Command::kFlush, 0}};

std::uint16_t FlagsOf(Command command, bool is_extended) {
  const std::uint16_t flags = std::ranges::find(kFlags, command, &std::pair<Command, std::uint16_t>::first)->second;
  return is_extended && command == Command::kStatus ? flags | CommandFlag::kPayloadLen : flags;
}

constexpr bool CarriesPayload(Command command) { return command == Command::kRead || command == Command::kWrite; }

constexpr auto kOptions = std::to_array<std::uint32_t>(
    {OptionType::kSetMetaContext, OptionType::kStructuredReply, OptionType::kGo, OptionType::kListMetaContext,
     OptionType::kSetMetaContext, OptionType::kInfo, OptionType::kList, OptionType::kExtendedHeaders,
     OptionType::kStarttls, OptionType::kPeekExport, OptionType::kAbort, OptionType::kExportName, 99});

constexpr auto kNames = std::to_array<std::string_view>(
    {"base:allocation", "base:", "qemu:", "qemu:allocation-depth", "qemu:dirty-bitmap:b", "x-unknown:context", "base",
     "base:allocatio", "base:allocation ", ":", "Base:allocation", ""});
constexpr auto kExportNames = std::to_array<std::string_view>({"", "", "", "other"});

// Which kind of step a code is for, and how many of 21 records that are no literal ones stand for it.
struct CodeRow {
  Code code;
  bool StepKinds::* kind;
  std::size_t likely_count;
  bool StepKinds::* other_kind = kind;
};
constexpr CodeRow kCodes[] = {
    {Code::kAdd, &StepKinds::add, 5},         {Code::kForEach, &StepKinds::for_each, 1},
    {Code::kLookup, &StepKinds::lookup, 1},   {Code::kClearOrAdd, &StepKinds::clear, 1, &StepKinds::add},
    {Code::kRequest, &StepKinds::request, 7}, {Code::kWait, &StepKinds::wait, 1},
    {Code::kOption, &StepKinds::option, 4},   {Code::kName, &StepKinds::option, 0},
    {Code::kCut, &StepKinds::cut, 1},         {Code::kMore, &StepKinds::extended, 0},
    {Code::kLeave, &StepKinds::leave, 0},     {Code::kSend, &StepKinds::send, 0},
    {Code::kVisit, &StepKinds::visit, 0},     {Code::kDelivery, &StepKinds::delivery, 0}};

bool IsWanted(const CodeRow& row, const StepKinds& kinds) { return kinds.*row.kind || kinds.*row.other_kind; }

// The codes that records which are no literal ones stand for, for a byte to choose from. A fuzzer decodes often enough
// for an allocation to matter.
class LikelyCodes {
 public:
  explicit LikelyCodes(const StepKinds& kinds) {
    for (const CodeRow& row : kCodes) {
      const std::size_t count = IsWanted(row, kinds) ? row.likely_count : 0;
      std::fill_n(codes_.begin() + size_, count, row.code);
      size_ += count;
    }
  }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] Code ChosenBy(std::uint8_t byte) const { return codes_[byte % size_]; }

 private:
  std::array<Code, 21> codes_ = {};
  std::size_t size_ = 0;
};

// What a record that begins with `first` is as it is; none if it is a likely step.
std::optional<Code> LiteralCode(std::uint8_t first, const StepKinds& kinds) {
  // Several mean an Add, so that types with unknown bits are no rarity.
  const bool is_add =
      static_cast<std::uint8_t>(Code::kAdd) <= first && first < static_cast<std::uint8_t>(Code::kForEach);
  const Code code = is_add ? Code::kAdd : static_cast<Code>(first);
  const auto* row = std::ranges::find(kCodes, code, &CodeRow::code);
  return row != std::end(kCodes) && IsWanted(*row, kinds) ? std::optional(code) : std::nullopt;
}

std::string_view AsText(ByteView input) { return {reinterpret_cast<const char*>(input.data()), input.size()}; }

void AddEdges(ByteRange::OffsetAndLength range, std::vector<std::uint64_t>& edges) {
  edges.push_back(range.offset);
  edges.push_back(range.offset + range.length);  // May wrap: then it is just another number.
}

// Decodes into a script and a list of edges that are not its own.
class Decoder {
 public:
  Decoder(const ScriptLimits& limits, Script& script, std::vector<std::uint64_t>& edges)
      : limits_(limits), likely_codes_(limits.kinds), script_(script), edges_(edges) {}

  void DecodeHead(ByteView bytes) {
    ByteReader input(bytes);
    const std::uint8_t head = input.Byte();
    const std::uint64_t value = input.Number();
    script_.initial = static_cast<ExtentType>(head % 4);
    switch (static_cast<SizeChoice>(head / 4 % 4)) {
      case SizeChoice::kSmall:
        script_.size = value % (kSmallMax + 1);
        break;
      case SizeChoice::kTiny:
        script_.size = value % 9;
        break;
      case SizeChoice::kInteresting:
        script_.size = Nudge(kInteresting[value % kInteresting.size()], head / 16);
        break;
      case SizeChoice::kLiteral:
        script_.size = value;
        break;
    }
    script_.size = std::min({script_.size, limits_.export_bytes_max, kExportBytesMax});
    edges_.assign({0, script_.size});
  }

  void DecodeSteps(ByteView records) {
    const std::size_t count = std::min(records.size() / kScriptRecordBytes, limits_.steps_max);
    script_.steps.reserve(count);
    edges_.reserve(edges_.size() + 2 * count);
    for (; records.size() >= kScriptRecordBytes; records = records.subspan(kScriptRecordBytes)) {
      const auto literal = LiteralCode(records[0], limits_.kinds);
      // The names of the last step, or more of it, may still come.
      const bool is_step = literal != Code::kName && literal != Code::kMore && literal != Code::kDelivery;
      if (likely_codes_.empty() || (script_.steps.size() >= limits_.steps_max && is_step)) {
        break;
      }
      if (literal == Code::kAdd && records[2] == kLiteralByte && records[3] == kLiteralByte) {
        // What EncodeScript makes of an Add is most of what a fuzzer reads: it takes no detours.
        AppendAdd({.offset = LittleEndian(&records[4], 8), .length = LittleEndian(&records[12], 8)}, records[1]);
        continue;
      }
      input_ = ByteReader(records.subspan(1, kScriptRecordBytes - 1));
      DecodeStep(literal ? *literal : likely_codes_.ChosenBy(records[0]), literal.has_value());
    }
  }

 private:
  // The number that `choice` makes of `value`, as an offset.
  std::uint64_t Offset(std::uint8_t choice, std::uint64_t value) {
    switch (kChoices[choice % kChoices.size()]) {
      case Choice::kSmall:
        return value % (kSmallMax + 2);
      case Choice::kEdge:
        return Nudge(edges_[value % edges_.size()], choice / 8);
      case Choice::kInside:
        return value % (script_.size + 1);
      case Choice::kInteresting:
        return Nudge(kInteresting[value % kInteresting.size()], choice / 8);
      case Choice::kLiteral:
        return value;
    }
    std::unreachable();
  }

  // Offset and length, the length's value of `length_bytes`. Where the second choice is a place rather than a number,
  // the range lies between the two.
  ByteRange::OffsetAndLength Range(std::size_t length_bytes = 8) {
    const std::uint8_t offset_choice = input_.Byte();
    const std::uint8_t length_choice = input_.Byte();
    std::uint64_t offset = Offset(offset_choice, input_.Number());
    std::uint64_t length = Offset(length_choice, input_.Number(length_bytes));
    const Choice choice = kChoices[length_choice % kChoices.size()];
    if (choice == Choice::kEdge || choice == Choice::kInside) {
      const auto [low, high] = std::minmax({offset, length});
      offset = low;
      length = high - low;
    }
    return {.offset = offset, .length = length};
  }

  void DecodeStep(Code code, bool is_literal) {
    switch (code) {
      case Code::kAdd:
      case Code::kClearOrAdd:
        DecodeAdd(code, is_literal);
        return;
      case Code::kForEach: {
        const std::uint8_t detail = input_.Byte();
        script_.steps.emplace_back(ForEachStep{.stop_at = LikelyDetail(detail, is_literal)});
        SetRange(script_.steps.back(), Range());
        return;
      }
      case Code::kLookup:
        (void)input_.Byte();
        script_.steps.emplace_back(LookupStep{.offset = Range().offset});
        return;
      case Code::kRequest:
        DecodeRequest(is_literal);
        return;
      case Code::kWait:
        script_.steps.emplace_back(WaitStep{});
        return;
      case Code::kLeave:
        script_.steps.emplace_back(LeaveStep{});
        return;
      case Code::kSend:
        DecodeSend();
        return;
      case Code::kVisit:
        DecodeVisit();
        return;
      case Code::kDelivery:
        DecodeDelivery();
        return;
      case Code::kOption:
        DecodeOption(is_literal);
        return;
      case Code::kCut:
        DecodeCut();
        return;
      case Code::kName:
        DecodeName();
        return;
      case Code::kMore:
        DecodeMore();
        return;
    }
  }

  // Most types are legal, and most stops come early.
  static std::uint8_t LikelyDetail(std::uint8_t detail, bool is_literal) { return is_literal ? detail : detail % 4; }

  void DecodeAdd(Code code, bool is_literal) {
    const std::uint8_t detail = LikelyDetail(input_.Byte(), is_literal);
    if (code == Code::kClearOrAdd && limits_.kinds.clear && (detail == 0 || !limits_.kinds.add)) {
      script_.steps.emplace_back(ClearStep{});
      return;
    }
    AppendAdd(Range(), detail);
  }

  void AppendAdd(ByteRange::OffsetAndLength range, std::uint8_t type) {
    AddEdges(range, edges_);
    script_.steps.emplace_back(
        AddStep{.offset = range.offset, .length = range.length, .type = static_cast<ExtentType>(type)});
  }

  void DecodeRequest(bool is_literal) {
    const std::uint8_t detail = input_.Byte();
    const bool is_named = is_literal && std::ranges::find(kCommands, Command{detail}) != kCommands.end();
    RequestStep step{.command = is_named ? Command{detail} : kCommands[detail % kCommands.size()]};
    ByteRange::OffsetAndLength range = Range(4);
    step.flags = static_cast<std::uint16_t>(input_.Number(2));
    step.pattern = input_.Byte();
    step.connection = Connection(input_.Byte());
    if (!is_literal) {
      MakeLikely(step, range);
    }
    step.offset = range.offset;
    step.length = limits_.kinds.extended ? range.length : std::min<std::uint64_t>(range.length, UINT32_MAX);
    KeepToPayloadLimit(step);
    AddEdges({.offset = step.offset, .length = step.length}, edges_);
    script_.steps.emplace_back(step);
  }

  void KeepToPayloadLimit(RequestStep& step) const {
    if (CarriesPayload(step.command) && step.length > limits_.payload_bytes_max) {
      step.length %= limits_.payload_bytes_max + 1;
    }
  }

  // Most requests are inside of the export, not empty, and have flags that go with their command.
  void MakeLikely(RequestStep& step, ByteRange::OffsetAndLength& range) const {
    const bool is_any_range = step.flags >> 13 == 0;
    const bool has_any_flags = (step.flags >> 8 & 0x1f) == 0;
    if (limits_.kinds.extended && step.command == Command::kStatus) {
      step.contexts = static_cast<NamedContexts>(step.pattern % kNamedContextsCount);
    } else if (limits_.kinds.extended && step.command == Command::kWrite) {
      step.is_unannounced = has_any_flags && step.pattern % 2 == 0;
    }
    step.flags &= has_any_flags ? 0xff : FlagsOf(step.command, limits_.kinds.extended);
    step.pattern = step.command == Command::kWrite ? step.pattern : 0;
    if (step.command == Command::kFlush) {
      range = {.offset = 0, .length = 0};
    } else if (!is_any_range && script_.size > 0) {
      range.offset %= script_.size;
      range.length = std::clamp<std::uint64_t>(range.length, 1, script_.size - range.offset);
    }
  }

  void DecodeMore() {
    auto* request = script_.steps.empty() ? nullptr : std::get_if<RequestStep>(&script_.steps.back());
    if (request == nullptr) {
      return;
    }
    const std::uint8_t detail = input_.Byte();
    (void)input_.Number(2);
    request->contexts = static_cast<NamedContexts>((detail & ~kIsUnannounced) % kNamedContextsCount);
    request->is_unannounced = (detail & kIsUnannounced) != 0;
    request->length = input_.Number();
    KeepToPayloadLimit(*request);
    edges_.push_back(request->offset + request->length);
  }

  [[nodiscard]] std::uint8_t Connection(std::uint8_t byte) const {
    return static_cast<std::uint8_t>(1 + byte % std::clamp<unsigned>(limits_.connections_max, 1, kConnectionsMax));
  }

  void DecodeSend() {
    const std::uint8_t connection = Connection(input_.Byte());
    (void)input_.Number(2);
    script_.steps.emplace_back(
        SendStep{.bytes = static_cast<std::uint32_t>(input_.Number()), .connection = connection});
  }

  void DecodeVisit() {
    const std::uint8_t detail = input_.Byte();
    (void)input_.Number(2);
    script_.steps.emplace_back(
        VisitStep{.count = static_cast<std::uint16_t>(1 + (input_.Number() + kVisitorsMax - 1) % kVisitorsMax),
                  .visit = static_cast<Visit>(detail % kVisitCount)});
  }

  void DecodeDelivery() {
    if (auto* option = script_.steps.empty() ? nullptr : std::get_if<OptionStep>(&script_.steps.back())) {
      option->is_glued = input_.Byte() % 2 != 0;
      (void)input_.Number(2);
      option->split = static_cast<std::uint8_t>(input_.Number());
    }
  }

  void DecodeOption(bool is_literal) {
    const std::uint8_t detail = input_.Byte();
    (void)input_.Number(2);
    const std::uint64_t value = input_.Number();
    if (is_literal) {
      script_.steps.emplace_back(OptionStep{.option = static_cast<std::uint32_t>(value)});
      return;
    }
    OptionStep step{.option = kOptions[detail % kOptions.size()]};
    step.export_name = kExportNames[value % kExportNames.size()];
    const bool has_names = step.option == OptionType::kSetMetaContext || step.option == OptionType::kListMetaContext;
    for (std::uint64_t left = has_names ? (value >> 8) % 4 : 0; left > 0; --left) {
      step.names.emplace_back(kNames[input_.Byte() % kNames.size()]);
    }
    script_.steps.emplace_back(std::move(step));
  }

  void DecodeCut() {
    const std::uint8_t detail = input_.Byte();
    (void)input_.Number(2);
    const std::uint64_t one = input_.Number();
    script_.steps.emplace_back(
        CutStep{.cut = {.keeps = static_cast<PowerCut::Keeps>((detail & ~kTears) % kPowerCutKeepsCount),
                        .one = one,
                        .seed = input_.Number(),
                        .tears = (detail & kTears) != 0}});
  }

  void DecodeName() {
    auto* option = script_.steps.empty() ? nullptr : std::get_if<OptionStep>(&script_.steps.back());
    if (option == nullptr) {
      return;
    }
    const std::uint8_t head = input_.Byte();
    const Bytes bytes = input_.Take((head & kNameCountBits) % (kNameBytesMax + 1U));
    const std::string_view piece = AsText(bytes);
    if ((head & kNameIsExport) != 0) {
      option->export_name += piece;
    } else if ((head & kNameContinues) != 0 && !option->names.empty()) {
      option->names.back() += piece;
    } else {
      option->names.emplace_back(piece);
    }
  }

  ByteReader input_{ByteView()};
  const ScriptLimits& limits_;
  const LikelyCodes likely_codes_;
  Script& script_;
  std::vector<std::uint64_t>& edges_;
};

void PutValue(std::uint64_t value, std::uint8_t* into) {
  for (std::size_t i = 0; i < 8; ++i) {
    into[i] = static_cast<std::uint8_t>(value >> (8 * i));
  }
}

struct StepEncoder {
  Bytes& bytes;

  void Record(Code code, std::uint8_t detail, std::uint64_t offset, std::uint64_t length) const {
    std::array<std::uint8_t, kScriptRecordBytes> record = {static_cast<std::uint8_t>(code), detail, kLiteralByte,
                                                           kLiteralByte};
    PutValue(offset, record.data() + 4);
    PutValue(length, record.data() + 12);
    bytes.insert(bytes.end(), record.begin(), record.end());
  }

  // The whole of `name`, in as many records as it takes.
  void NameRecords(std::string_view name, std::uint8_t what) const {
    do {
      const std::string_view piece = name.substr(0, kNameBytesMax);
      bytes.push_back(static_cast<std::uint8_t>(Code::kName));
      bytes.push_back(static_cast<std::uint8_t>(piece.size() | what));
      bytes.insert(bytes.end(), piece.begin(), piece.end());
      bytes.resize(bytes.size() + kNameBytesMax - piece.size());
      name.remove_prefix(piece.size());
      what |= kNameContinues;
    } while (!name.empty());
  }

  void operator()(const AddStep& step) const {
    Record(Code::kAdd, static_cast<std::uint8_t>(step.type), step.offset, step.length);
  }
  void operator()(const ClearStep&) const { Record(Code::kClearOrAdd, 0, 0, 0); }
  void operator()(const ForEachStep& step) const {
    Record(Code::kForEach, step.stop_at, step.bounds.begin, step.bounds.length());
  }
  void operator()(const LookupStep& step) const { Record(Code::kLookup, 0, step.offset, 0); }
  void operator()(const RequestStep& step) const {
    const auto connection = static_cast<std::uint64_t>(step.connection - 1);
    Record(Code::kRequest, static_cast<std::uint8_t>(step.command), step.offset,
           (step.length & UINT32_MAX) | std::uint64_t{step.flags} << 32 | std::uint64_t{step.pattern} << 48 |
               connection << 56);
    if (step.length > UINT32_MAX || step.contexts != NamedContexts::kAll || step.is_unannounced) {
      Record(Code::kMore,
             static_cast<std::uint8_t>(static_cast<int>(step.contexts) | (step.is_unannounced ? kIsUnannounced : 0)),
             step.length, 0);
    }
  }
  void operator()(const WaitStep&) const { Record(Code::kWait, 0, 0, 0); }
  void operator()(const LeaveStep&) const { Record(Code::kLeave, 0, 0, 0); }
  void operator()(const SendStep& step) const {
    Record(Code::kSend, static_cast<std::uint8_t>(step.connection - 1), step.bytes, 0);
  }
  void operator()(const VisitStep& step) const {
    Record(Code::kVisit, static_cast<std::uint8_t>(step.visit), step.count, 0);
  }
  void operator()(const CutStep& step) const {
    Record(Code::kCut, static_cast<std::uint8_t>(static_cast<int>(step.cut.keeps) | (step.cut.tears ? kTears : 0)),
           step.cut.one, step.cut.seed);
  }
  void operator()(const OptionStep& step) const {
    Record(Code::kOption, 0, step.option, 0);
    if (step.is_glued || step.split != 0) {
      Record(Code::kDelivery, step.is_glued ? 1 : 0, step.split, 0);
    }
    if (!step.export_name.empty()) {
      NameRecords(step.export_name, kNameIsExport);
    }
    for (const std::string& name : step.names) {
      NameRecords(name, 0);
    }
  }
};

}  // namespace

void ScriptDecoder::Decode(ByteView bytes, const ScriptLimits& limits, Script& script) {
  script.steps.clear();
  Decoder decoder(limits, script, edges_);
  decoder.DecodeHead(bytes);
  decoder.DecodeSteps(bytes.subspan(std::min(kScriptHeadBytes, bytes.size())));
}

void ScriptDecoder::DecodeSteps(ByteView records, const ScriptLimits& limits,
                                std::span<const ByteRange::OffsetAndLength> earlier, Script& script) {
  edges_.assign({0, script.size});
  for (const ByteRange::OffsetAndLength& range : earlier) {
    AddEdges(range, edges_);
  }
  Decoder(limits, script, edges_).DecodeSteps(records);
}

void ScriptDecoder::Read(ByteView input, const ScriptLimits& limits, Script& script) {
  if (BeginsAsText(input)) {
    if (auto text = ParseScript(AsText(input))) {
      script = *std::move(text);
      return;
    }
  }
  Decode(input, limits, script);
}

Script DecodeScript(ByteView bytes, const ScriptLimits& limits) {
  Script script;
  ScriptDecoder().Decode(bytes, limits, script);
  return script;
}

Script ReadScript(ByteView input, const ScriptLimits& limits) {
  Script script;
  ScriptDecoder().Read(input, limits, script);
  return script;
}

Bytes EncodeScript(const Script& script, Bytes bytes) {
  bytes.clear();
  bytes.reserve(kScriptHeadBytes + script.steps.size() * kScriptRecordBytes);
  bytes.resize(kScriptHeadBytes);
  bytes[0] = static_cast<std::uint8_t>(static_cast<unsigned>(SizeChoice::kLiteral) * 4 |
                                       static_cast<unsigned>(script.initial));
  PutValue(script.size, bytes.data() + 1);
  for (const Step& step : script.steps) {
    std::visit(StepEncoder{bytes}, step);
  }
  return bytes;
}

bool BeginsAsText(ByteView input) { return AsText(input).starts_with(kScriptHeader); }

}  // namespace nbdspec::engine
