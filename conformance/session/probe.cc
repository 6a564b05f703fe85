// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/session/probe.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "engine/base/check.h"
#include "engine/base/quoted.h"

namespace nbdspec::conformance {

using engine::OptionReplyType;
using engine::OptionType;
using engine::TransmissionFlag;

namespace {

constexpr std::string_view kFeatureNames[kFeatureCount] = {
    "fixed newstyle negotiation",
    "the NO_ZEROES handshake flag",
    "NBD_OPT_LIST",
    "NBD_OPT_INFO",
    "NBD_OPT_GO",
    "structured replies",
    "metadata contexts",
    "base:allocation",
    "a second metadata context",
    "NBD_INFO_BLOCK_SIZE",
    "a minimum block size above 1",
    "a read-only export",
    "an export that may be written to",
    "NBD_CMD_FLUSH",
    "the FUA flag",
    "NBD_CMD_TRIM",
    "NBD_CMD_WRITE_ZEROES",
    "the DF flag",
    "multi-conn",
    "NBD_CMD_CACHE",
    "the FAST_ZERO flag",
    "NBD_CMD_WRITE_ZEROES without FAST_ZERO",
};

struct FlagFeature {
  std::uint16_t flag;
  Feature feature;
};
constexpr FlagFeature kFlagFeatures[] = {
    {TransmissionFlag::kReadOnly, Feature::kReadOnly},
    {TransmissionFlag::kSendFlush, Feature::kFlush},
    {TransmissionFlag::kSendFua, Feature::kFua},
    {TransmissionFlag::kSendTrim, Feature::kTrim},
    {TransmissionFlag::kSendWriteZeroes, Feature::kWriteZeroes},
    {TransmissionFlag::kSendDf, Feature::kDf},
    {TransmissionFlag::kCanMultiConn, Feature::kMultiConn},
    {TransmissionFlag::kSendCache, Feature::kCache},
    {TransmissionFlag::kSendFastZero, Feature::kFastZero},
};

constexpr std::size_t kListedMax = 1000;  // Exports and contexts remembered; a server may list any number.

// One probe on one connection.
class Conversation {
 public:
  Conversation(Session session, const ProbeOptions& options) : session_(std::move(session)), options_(options) {}

  std::expected<Profile, ProbeFailure> Run() {
    const auto greeting = session_.NextGreeting();
    if (!greeting) {
      return std::unexpected(ProbeFailure{.unreachable = session_.received_byte_count() == 0,
                                          .sentence = "no greeting: " + greeting.error().text});
    }
    profile_.greeting = *greeting;
    Mark(Feature::kFixedNewstyle, (greeting->flags & engine::HandshakeFlag::kFixedNewstyle) != 0);
    Mark(Feature::kNoZeroes, (greeting->flags & engine::HandshakeFlag::kNoZeroes) != 0);
    const std::uint32_t flags = greeting->flags & (engine::ClientFlag::kFixedNewstyle | engine::ClientFlag::kNoZeroes);
    session_.Send(engine::ClientFlags{.flags = flags});
    const auto failed = profile_.features.Has(Feature::kFixedNewstyle) ? Haggle() : EnterByName();
    if (failed) {
      return std::unexpected(ProbeFailure{.sentence = *failed});
    }
    NoteFlags();
    if (const auto unreadable = ReadSome()) {
      return std::unexpected(ProbeFailure{.sentence = *unreadable});
    }
    session_.Disconnect();
    return profile_;
  }

 private:
  using Failed = std::optional<std::string>;

  void Mark(Feature feature, bool offered) {
    if (offered) {
      profile_.features.Set(feature);
    }
  }

  // Asks; nothing when the conversation broke (why is in broke_).
  std::optional<std::vector<engine::OptionReply>> Ask(std::uint32_t option, engine::Bytes payload = {}) {
    auto replies = session_.Ask(engine::Option{.option = option, .payload = std::move(payload)});
    if (!replies) {
      broke_ = fmt::format("{} got no answer: {}", engine::OptionName(option), replies.error().text);
      return {};
    }
    return std::move(*replies);
  }

  Failed Haggle() {
    if (!AskList() || !AskStructured() || !AskContexts()) {
      return broke_;
    }
    const engine::InfoQuery query{
        .name = options_.export_name,
        .requests = {engine::InfoType::kBlockSize, engine::InfoType::kName, engine::InfoType::kDescription}};
    const auto info = Ask(OptionType::kInfo, EncodePayload(query));
    if (!info) {
      return broke_;
    }
    Mark(Feature::kInfo, info->back().type != OptionReplyType::kErrUnsup);
    const auto go = Ask(OptionType::kGo, EncodePayload(query));
    if (!go) {
      return broke_;
    }
    const engine::OptionReply& last = go->back();
    if (last.type == OptionReplyType::kErrUnsup) {
      return EnterByName();
    }
    if (last.type != OptionReplyType::kAck) {
      return fmt::format("NBD_OPT_GO for the export {} was answered {}{}", engine::Quoted(options_.export_name),
                         engine::OptionReplyName(last.type), Text(last));
    }
    Mark(Feature::kGo, true);
    session_.EnterTransmission();
    return TakeInfo(*go);
  }

  static std::string Text(const engine::OptionReply& reply) {
    const std::string_view text(reinterpret_cast<const char*>(reply.payload.data()), reply.payload.size());
    return text.empty() ? "" : " " + engine::Quoted(text);
  }

  Failed TakeInfo(const std::vector<engine::OptionReply>& replies) {
    bool has_export = false;
    for (const engine::OptionReply& reply : replies) {
      if (const auto info = engine::DecodeInfoExport(reply.payload); info && reply.type == OptionReplyType::kInfo) {
        profile_.info = *info;
        has_export = true;
      }
      const auto size = engine::DecodeInfoBlockSize(reply.payload);
      if (size && reply.type == OptionReplyType::kInfo) {
        profile_.block_size = *size;
        Mark(Feature::kBlockSize, true);
        Mark(Feature::kMinimumAboveOne, size->minimum > 1);
      }
    }
    return has_export ? Failed{} : "NBD_OPT_GO was acknowledged without NBD_INFO_EXPORT";
  }

  bool AskList() {
    const auto replies = Ask(OptionType::kList);
    if (!replies) {
      return false;
    }
    Mark(Feature::kList, replies->back().type == OptionReplyType::kAck);
    for (const engine::OptionReply& reply : *replies) {
      const auto listed = engine::DecodeListedExport(reply.payload);
      if (reply.type == OptionReplyType::kServer && listed && profile_.exports.size() < kListedMax) {
        profile_.exports.push_back(*listed);
      }
    }
    return true;
  }

  bool AskStructured() {
    const auto replies = Ask(OptionType::kStructuredReply);
    if (!replies) {
      return false;
    }
    Mark(Feature::kStructuredReplies, replies->back().type == OptionReplyType::kAck);
    return true;
  }

  bool AskContexts() {
    if (!profile_.features.Has(Feature::kStructuredReplies)) {
      return true;
    }
    const auto listed =
        Ask(OptionType::kListMetaContext, EncodePayload(engine::MetaContextQuery{.export_name = options_.export_name}));
    if (!listed) {
      return false;
    }
    for (const engine::OptionReply& reply : *listed) {
      const auto context = engine::DecodeMetaContext(reply.payload);
      if (reply.type == OptionReplyType::kMetaContext && context && profile_.contexts.size() < kListedMax) {
        profile_.contexts.push_back(context->name);
      }
    }
    std::vector<std::string> wanted = profile_.contexts;
    if (!std::ranges::count(wanted, engine::kBaseAllocation)) {
      wanted.emplace_back(engine::kBaseAllocation);
    }
    return SelectContexts(std::move(wanted));
  }

  bool SelectContexts(std::vector<std::string> wanted) {
    const engine::MetaContextQuery query{.export_name = options_.export_name, .queries = std::move(wanted)};
    const auto set = Ask(OptionType::kSetMetaContext, EncodePayload(query));
    if (!set) {
      return false;
    }
    Mark(Feature::kMetaContexts, set->back().type != OptionReplyType::kErrUnsup);
    int others = 0;
    for (const engine::OptionReply& reply : *set) {
      const auto context = engine::DecodeMetaContext(reply.payload);
      if (reply.type == OptionReplyType::kMetaContext && context) {
        const bool is_base = context->name == engine::kBaseAllocation;
        Mark(Feature::kBaseAllocation, is_base);
        others += is_base ? 0 : 1;
      }
    }
    Mark(Feature::kSecondContext, profile_.features.Has(Feature::kBaseAllocation) && others > 0);
    return true;
  }

  Failed EnterByName() {
    const auto reply =
        session_.AskExportName(options_.export_name, /*no_zeroes=*/profile_.features.Has(Feature::kNoZeroes));
    if (!reply) {
      return fmt::format("NBD_OPT_EXPORT_NAME for {}: {}", engine::Quoted(options_.export_name), reply.error().text);
    }
    profile_.info = {.size = reply->size, .flags = reply->flags};
    return {};
  }

  void NoteFlags() {
    for (const FlagFeature& each : kFlagFeatures) {
      Mark(each.feature, (profile_.info.flags & each.flag) != 0);
    }
    const bool read_only = profile_.features.Has(Feature::kReadOnly);
    Mark(Feature::kWritable, options_.may_write && !read_only);
    Mark(Feature::kNoFastZero,
         profile_.features.Has(Feature::kWriteZeroes) && !profile_.features.Has(Feature::kFastZero));
  }

  Failed ReadSome() {
    const std::uint64_t length =
        std::min<std::uint64_t>(profile_.info.size, std::max(512U, profile_.block_size.minimum));
    if (length == 0 || length > (1U << 20)) {
      return {};  // An empty export, or a minimum block size that no server may advertise: for the checks to judge.
    }
    const auto answer = session_.Ask(engine::Request{.length = static_cast<std::uint32_t>(length)});
    return answer ? Failed{} : fmt::format("a READ of {} bytes got no answer: {}", length, answer.error().text);
  }

  Session session_;
  const ProbeOptions& options_;
  Profile profile_;
  std::string broke_;
};

}  // namespace

std::string_view Describe(Feature feature) { return kFeatureNames[static_cast<std::size_t>(feature)]; }

reports::Advertised Profile::Advertised() const {
  std::vector<std::string> names;
  for (const engine::ListedExport& each : exports) {
    names.push_back(engine::Quoted(each.name));
  }
  std::vector<std::string> quoted_contexts;
  for (const std::string& each : contexts) {
    quoted_contexts.push_back(engine::Quoted(each));
  }
  reports::Advertised advertised = {
      {"handshake flags", engine::HandshakeFlagNames(greeting.flags)},
      {"transmission flags", engine::TransmissionFlagNames(info.flags)},
      {"size", std::to_string(info.size)},
      {"exports", fmt::format("{}", fmt::join(names, ", "))},
      {"structured replies", features.Has(Feature::kStructuredReplies) ? "yes" : "no"},
      {"metadata contexts", fmt::format("{}", fmt::join(quoted_contexts, ", "))},
  };
  if (features.Has(Feature::kBlockSize)) {
    advertised.emplace_back("block sizes", fmt::format("minimum {}, preferred {}, maximum {}", block_size.minimum,
                                                       block_size.preferred, block_size.maximum));
  }
  return advertised;
}

std::expected<Profile, ProbeFailure> Probe(Peer& peer, const ProbeOptions& options, Transcript& transcript) {
  auto transport = peer.Connect(Transport::Clock::now() + options.limits.reply_timeout);
  if (!transport) {
    return std::unexpected(ProbeFailure{.unreachable = true, .sentence = transport.error().sentence});
  }
  return Conversation(Session(std::move(*transport), options.limits, transcript), options).Run();
}

}  // namespace nbdspec::conformance
