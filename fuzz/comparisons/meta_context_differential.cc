// SPDX-License-Identifier: BSD-3-Clause
// Spec: proto.md, "Metadata querying", NBD_OPT_LIST_META_CONTEXT, NBD_OPT_SET_META_CONTEXT, NBD_CMD_BLOCK_STATUS.
#include "fuzz/comparisons/meta_context_differential.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/quoted.h"
#include "engine/server/server.h"
#include "engine/wire/encode.h"
#include "engine/wire/payloads.h"
#include "engine/wire/server_decoder.h"
#include "fuzz/inputs/meta_context_input.h"

namespace nbdspec::fuzz {
namespace {

using engine::Chunk;
using engine::ChunkType;
using engine::MetaContext;
using engine::NbdError;
using engine::OptionReply;
using engine::OptionReplyType;
using engine::OptionType;
using engine::ServerMessage;

constexpr std::string_view kContexts[] = {"base:allocation", "x-nbdspec:block-index"};
constexpr std::uint64_t kCookie = 0x0123456789abcdef;

// Shared by all runs: nothing here writes.
std::vector<engine::Export*> Exports() {
  static std::vector<engine::Export> exports = [] {
    std::vector<engine::Export> made;
    const auto make = [&made](std::string_view name) {
      engine::ExtentMap extents(std::uint64_t{kMetaBlockCount} * kMetaBlockBytes, engine::ExtentType::kHoleZero);
      for (std::uint32_t block = 1; block < kMetaBlockCount; block += 2) {
        (void)extents.Add(std::uint64_t{block} * kMetaBlockBytes, kMetaBlockBytes, engine::ExtentType::kData);
      }
      made.push_back({.options = {.name = std::string(name), .base_allocation = name != kBareExport},
                      .disk = engine::Disk(std::move(extents))});
    };
    std::ranges::for_each(kMetaExports, make);
    make(kBareExport);
    return made;
  }();
  std::vector<engine::Export*> pointers;
  for (engine::Export& each : exports) {
    pointers.push_back(&each);
  }
  return pointers;
}

// --- The model ---

bool IsExport(std::string_view name) { return name == kBareExport || std::ranges::count(kMetaExports, name) > 0; }

// No NUL, and UTF-8; of the strings that steps use, those with a byte above 0x7f are not.
bool IsString(std::string_view text) {
  return std::ranges::all_of(text, [](char byte) { return byte > 0; });
}

bool IsSelectedBy(std::string_view context, std::string_view query, bool listing) {
  const bool is_wildcard = query == context.substr(0, context.find(':') + 1);
  return query == context || (listing && is_wildcard);
}

struct Expected {
  std::uint32_t last = OptionReplyType::kAck;  // The type of the last reply.
  std::vector<std::string_view> contexts = {};
  bool informs = false;      // Replies of type NBD_REP_INFO or NBD_REP_SERVER come first.
  bool disconnects = false;  // Without a reply if it is EXPORT_NAME.
};

class Model {
 public:
  explicit Model(bool is_offered) : is_offered_(is_offered) {}

  // What must be said in answer to `step`. What it selects is only known from the reply: see Select.
  Expected Take(const OptionStep& step) {
    if (step.option == OptionType::kSetMetaContext) {
      selected_.clear();  // "Issuing this command replaces all previously-set metadata contexts (including when this
      selected_for_.clear();  // command fails)".
    }
    if (step.option == OptionType::kAbort) {
      return {.disconnects = true};
    }
    if (step.option == OptionType::kExportName) {
      return TakeExportName(step);
    }
    const std::uint32_t error = ErrorFor(step);
    if (error != 0) {
      return {.last = error};
    }
    if (step.option == OptionType::kStructuredReply) {
      is_structured_ = true;
      return {};
    }
    if (step.option == OptionType::kSetMetaContext) {
      selected_for_ = step.export_name;
    } else if (step.option == OptionType::kGo) {
      Enter(step.export_name);
    }
    return {.contexts = ContextsFor(step),
            .informs = step.option != OptionType::kSetMetaContext && step.option != OptionType::kListMetaContext};
  }

  void Select(std::vector<MetaContext> contexts) { selected_ = std::move(contexts); }

  [[nodiscard]] bool is_structured() const { return is_structured_; }
  [[nodiscard]] bool is_entered() const { return is_entered_; }
  [[nodiscard]] const std::vector<MetaContext>& selected() const { return selected_; }

 private:
  Expected TakeExportName(const OptionStep& step) {
    if (step.malformed == Malformed::kTooLong || !IsExport(step.export_name)) {
      return {.disconnects = true};
    }
    Enter(step.export_name);
    return {};
  }

  void Enter(std::string_view name) {
    is_entered_ = true;
    if (selected_for_ != name) {
      selected_.clear();
    }
  }

  [[nodiscard]] std::uint32_t ErrorFor(const OptionStep& step) const {
    if (step.malformed == Malformed::kTooLong) {
      return OptionReplyType::kErrTooBig;
    }
    const bool is_set_or_list =
        step.option == OptionType::kSetMetaContext || step.option == OptionType::kListMetaContext;
    const bool is_entry = step.option == OptionType::kInfo || step.option == OptionType::kGo;
    const bool is_offered = (is_offered_ && (is_set_or_list || step.option == OptionType::kStructuredReply)) ||
                            is_entry || step.option == OptionType::kList;
    if (!is_offered) {
      return OptionReplyType::kErrUnsup;
    }
    const bool is_unstructured = is_set_or_list && !is_structured_;
    if (is_unstructured || step.malformed != Malformed::kNot || !IsString(step.export_name) ||
        !std::ranges::all_of(step.queries, IsString)) {
      return OptionReplyType::kErrInvalid;
    }
    const bool has_name = is_set_or_list || is_entry;
    return has_name && !IsExport(step.export_name) ? OptionReplyType::kErrUnknown : 0;
  }

  static std::vector<std::string_view> ContextsFor(const OptionStep& step) {
    const bool listing = step.option == OptionType::kListMetaContext;
    std::vector<std::string_view> contexts;
    for (const std::string_view context : kContexts) {
      const bool is_asked = std::ranges::any_of(
          step.queries, [&](std::string_view query) { return IsSelectedBy(context, query, listing); });
      if (step.export_name != kBareExport && (is_asked || (listing && step.queries.empty()))) {
        contexts.push_back(context);
      }
    }
    return contexts;
  }

  bool is_offered_;
  bool is_structured_ = false;
  bool is_entered_ = false;
  std::string selected_for_;
  std::vector<MetaContext> selected_;
};

// --- The judge ---

std::optional<Disagreement> Differ(std::string expected, std::string saw) {
  return Disagreement{.where = {}, .expected = std::move(expected), .saw = std::move(saw)};
}

std::string Print(const std::vector<ServerMessage>& said) {
  std::string text;
  for (const ServerMessage& message : said) {
    text += (text.empty() ? "" : "; ") + engine::Describe(message);
    const auto* reply = std::get_if<OptionReply>(&message);
    if (const auto context = reply == nullptr ? std::nullopt : engine::DecodeMetaContext(reply->payload)) {
      text += " (" + std::to_string(context->id) + " " + engine::Quoted(context->name) + ")";
    }
  }
  return text.empty() ? "nothing" : text;
}

std::string Print(const Expected& expected) {
  std::string text = expected.informs ? "information; " : "";
  for (const std::string_view context : expected.contexts) {
    text += "context " + std::string(context) + "; ";
  }
  return text + "reply type " + std::to_string(expected.last);
}

class Conversation {
 public:
  Conversation(const MetaContextInput& input, engine::Interposer* interposer)
      : input_(input),
        model_(input.is_offered),
        server_({.structured_replies = input.is_offered, .limits = {.option_bytes_max = kMetaOptionBytesMax}},
                Exports(), interposer) {}

  std::optional<Disagreement> Run() {
    const std::uint16_t flags = engine::ClientFlag::kFixedNewstyle;
    const bool no_zeroes = input_.no_zeroes;
    (void)Ask(engine::ClientFlags{.flags = flags | (no_zeroes ? engine::ClientFlag::kNoZeroes : 0U)});
    for (const OptionStep& step : input_.options) {
      if (auto found = Haggle(step)) {
        found->where = "option " + Print(step) + found->where;
        return found;
      }
    }
    for (const StatusStep& step : input_.statuses) {
      if (!model_.is_entered()) {
        break;
      }
      if (auto found = AskStatus(step)) {
        found->where = "status of " + std::to_string(step.offset) + " +" + std::to_string(step.length) +
                       (step.req_one ? " REQ_ONE" : "");
        return found;
      }
    }
    return std::nullopt;
  }

 private:
  // What the server says in answer. A message that cannot be decoded is left out, and the bytes stay pending.
  std::vector<ServerMessage> Ask(const engine::ClientMessage& message) {
    server_.Receive(Encode(message));
    for (engine::Bytes bytes = server_.TakeOutput(); !bytes.empty(); bytes = server_.TakeOutput()) {
      decoder_.Feed(bytes);
    }
    std::vector<ServerMessage> said;
    for (auto next = decoder_.Next(); next; next = decoder_.Next()) {
      auto* placed = std::get_if<engine::PlacedServerMessage>(&*next);
      if (placed == nullptr) {
        break;
      }
      said.push_back(std::move(placed->message));
    }
    return said;
  }

  std::optional<Disagreement> Haggle(const OptionStep& step) {
    const Expected expected = model_.Take(step);
    if (step.option == OptionType::kExportName && model_.is_entered()) {
      decoder_.ExpectExportNameReply(/*pad=*/!input_.no_zeroes);
    }
    const std::vector<ServerMessage> said = Ask(ToOption(step));
    if (server_.closed() != expected.disconnects) {
      return Differ(expected.disconnects ? "a disconnect" : "none", expected.disconnects ? "none" : "a disconnect");
    }
    if (!decoder_.Pending().empty()) {
      return Differ("whole messages", Print(said) + "; " + std::to_string(decoder_.Pending().size()) + " bytes more");
    }
    if (step.option == OptionType::kExportName) {
      const bool is_right = expected.disconnects
                                ? said.empty()
                                : said.size() == 1 && std::holds_alternative<engine::ExportNameReply>(said[0]);
      return is_right ? std::nullopt : Differ(expected.disconnects ? "nothing" : "the export's size", Print(said));
    }
    if (step.option == OptionType::kGo && expected.last == OptionReplyType::kAck) {
      decoder_.EnterTransmission();
    }
    return JudgeReplies(step, expected, said);
  }

  std::optional<Disagreement> JudgeReplies(const OptionStep& step, const Expected& expected,
                                           const std::vector<ServerMessage>& said) {
    const bool setting = step.option == OptionType::kSetMetaContext;
    std::vector<MetaContext> contexts;
    bool informs = false;
    for (std::size_t i = 0; i < said.size(); ++i) {
      const auto* reply = std::get_if<OptionReply>(&said[i]);
      if (reply == nullptr || reply->option != step.option) {
        return Differ("replies to this option", Print(said));
      }
      const bool is_last = i + 1 == said.size();
      if (is_last != (reply->type == expected.last)) {
        return Differ(Print(expected), Print(said));
      }
      if (is_last) {
        break;
      }
      informs = informs || reply->type == OptionReplyType::kInfo || reply->type == OptionReplyType::kServer;
      if (reply->type == OptionReplyType::kMetaContext) {
        contexts.push_back(engine::DecodeMetaContext(reply->payload).value_or(MetaContext{}));
      }
    }
    const bool is_ack = expected.last == OptionReplyType::kAck;
    if (said.empty() || informs != expected.informs ||
        (is_ack && !std::get<OptionReply>(said.back()).payload.empty()) ||
        (!informs && said.size() != contexts.size() + 1)) {
      return Differ(Print(expected), Print(said));
    }
    if (!AreThese(contexts, expected.contexts) || !HaveProperIds(contexts, setting)) {
      return Differ(Print(expected) + (setting ? ", ids unlike" : ", ids 0"), Print(said));
    }
    if (setting) {
      model_.Select(std::move(contexts));
    }
    return std::nullopt;
  }

  // In any order, each once.
  static bool AreThese(const std::vector<MetaContext>& contexts, const std::vector<std::string_view>& names) {
    return contexts.size() == names.size() && std::ranges::all_of(names, [&](std::string_view name) {
             return std::ranges::count(contexts, name, &MetaContext::name) == 1;
           });
  }

  static bool HaveProperIds(const std::vector<MetaContext>& contexts, bool setting) {
    return std::ranges::all_of(contexts, [&](const MetaContext& context) {
      return setting ? std::ranges::count(contexts, context.id, &MetaContext::id) == 1 : context.id == 0;
    });
  }

  std::optional<Disagreement> AskStatus(const StatusStep& step) {
    const std::uint16_t req_one = engine::CommandFlag::kReqOne;
    const std::vector<ServerMessage> said = Ask(engine::Request{.flags = step.req_one ? req_one : std::uint16_t{0},
                                                                .type = engine::CommandType::kBlockStatus,
                                                                .cookie = kCookie,
                                                                .offset = step.offset,
                                                                .length = step.length});
    if (server_.closed() || !decoder_.Pending().empty()) {
      return Differ("an answer, and the connection kept", Print(said) + (server_.closed() ? "; a disconnect" : ""));
    }
    if (model_.selected().empty()) {
      return IsRefusal(said) ? std::nullopt : Differ("NBD_EINVAL, for no context is selected", Print(said));
    }
    std::vector<std::uint32_t> answered;
    for (std::size_t i = 0; i < said.size(); ++i) {
      const auto* chunk = std::get_if<Chunk>(&said[i]);
      const bool is_status = chunk != nullptr && chunk->type == ChunkType::kBlockStatus && chunk->cookie == kCookie &&
                             chunk->is_done() == (i + 1 == said.size());
      const auto status = is_status ? engine::DecodeBlockStatus(chunk->payload) : std::nullopt;
      if (!status || !IsTrue(*status, step)) {
        return Differ("a true status for each of " + PrintSelected(), Print(said));
      }
      answered.push_back(status->context_id);
    }
    const bool is_each_once = answered.size() == model_.selected().size() &&
                              std::ranges::all_of(model_.selected(), [&](const MetaContext& context) {
                                return std::ranges::count(answered, context.id) == 1;
                              });
    return is_each_once ? std::nullopt : Differ("one chunk for each of " + PrintSelected(), Print(said));
  }

  [[nodiscard]] bool IsRefusal(const std::vector<ServerMessage>& said) const {
    if (said.size() != 1) {
      return false;
    }
    if (!model_.is_structured()) {
      const auto* simple = std::get_if<engine::SimpleReply>(&said[0]);
      return simple != nullptr && simple->error == NbdError::kEinval && simple->cookie == kCookie;
    }
    const auto* chunk = std::get_if<Chunk>(&said[0]);
    const auto error = chunk == nullptr ? std::nullopt : engine::DecodeErrorPayload(chunk->type, chunk->payload);
    return error && chunk->type == ChunkType::kError && chunk->is_done() && chunk->cookie == kCookie &&
           error->error == NbdError::kEinval;
  }

  // Whether the descriptors are right for the context that has the id in our own last SET_META_CONTEXT.
  [[nodiscard]] bool IsTrue(const engine::BlockStatus& status, const StatusStep& step) const {
    const auto context = std::ranges::find(model_.selected(), status.context_id, &MetaContext::id);
    if (context == model_.selected().end() || status.descriptors.empty()) {
      return false;
    }
    if (step.req_one && (status.descriptors.size() != 1 || status.descriptors[0].length > step.length)) {
      return false;
    }
    std::uint64_t offset = step.offset;
    for (const engine::Descriptor& descriptor : status.descriptors) {
      const std::uint64_t block = offset / kMetaBlockBytes;
      const std::uint64_t end = offset + descriptor.length;
      const std::uint64_t type = block % 2 == 0 ? 3 : 0;
      const bool is_within_a_block = end <= (block + 1) * kMetaBlockBytes;
      if (descriptor.length == 0 || !is_within_a_block ||
          descriptor.status != (context->name == kContexts[0] ? type : block)) {
        return false;
      }
      offset = end;
    }
    return true;
  }

  [[nodiscard]] std::string PrintSelected() const {
    std::string text;
    for (const MetaContext& context : model_.selected()) {
      text += (text.empty() ? "" : ", ") + context.name + " (" + std::to_string(context.id) + ")";
    }
    return text;
  }

  const MetaContextInput& input_;
  Model model_;
  engine::Server server_;
  engine::ServerDecoder decoder_;
};

}  // namespace

std::optional<Disagreement> FindMetaContextDisagreement(engine::ByteView bytes, engine::Interposer* interposer) {
  const MetaContextInput input = ReadMetaContextInput(bytes);
  return Conversation(input, interposer).Run();
}

}  // namespace nbdspec::fuzz
