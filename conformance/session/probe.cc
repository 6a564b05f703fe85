// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/session/probe.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <ranges>

#include "engine/base/check.h"
#include "engine/base/or_return.h"
#include "engine/base/quoted.h"

namespace nbdspec::conformance {

namespace {

// In the order of the bits.
struct FeatureRow {
  std::string_view name;
  std::uint16_t flag = 0;  // The transmission flag that offers it, where one does.
};
constexpr FeatureRow kFeatures[kFeatureCount] = {
    {"fixed newstyle negotiation"},
    {"the NO_ZEROES handshake flag"},
    {"NBD_OPT_LIST"},
    {"NBD_OPT_INFO"},
    {"NBD_OPT_GO"},
    {"structured replies"},
    {"metadata contexts"},
    {"base:allocation"},
    {"a second metadata context"},
    {"NBD_INFO_BLOCK_SIZE"},
    {"a minimum block size above 1"},
    {"a read-only export", TransmissionFlag::kReadOnly},
    {"an export that may be written to"},
    {"NBD_CMD_FLUSH", TransmissionFlag::kSendFlush},
    {"the FUA flag", TransmissionFlag::kSendFua},
    {"NBD_CMD_TRIM", TransmissionFlag::kSendTrim},
    {"NBD_CMD_WRITE_ZEROES", TransmissionFlag::kSendWriteZeroes},
    {"the DF flag", TransmissionFlag::kSendDf},
    {"multi-conn", TransmissionFlag::kCanMultiConn},
    {"NBD_CMD_CACHE", TransmissionFlag::kSendCache},
    {"the FAST_ZERO flag", TransmissionFlag::kSendFastZero},
    {"NBD_CMD_WRITE_ZEROES without FAST_ZERO"},
    {"extended headers"},
    {"the payload of NBD_CMD_BLOCK_STATUS"},
};

constexpr std::size_t kListedMax = 1000;  // Exports and contexts remembered; a server may list any number.

std::vector<std::uint16_t> InfoRequests() { return {InfoType::kBlockSize, InfoType::kName, InfoType::kDescription}; }

// One probe on one connection. Each step returns why the conversation cannot go on.
class Conversation {
 public:
  Conversation(Session session, const ProbeOptions& options) : session_(std::move(session)), options_(options) {}

  std::expected<Profile, ProbeError> Run() {
    const auto greeting = session_.Greet();
    if (!greeting) {
      return std::unexpected(
          ProbeError{.is_unreachable = session_.received_byte_count() == 0, .sentence = greeting.error()});
    }
    profile_.greeting = *greeting;
    Mark(Feature::kFixedNewstyle, session_.negotiated().is_fixed_newstyle());
    Mark(Feature::kNoZeroes, (greeting->flags & HandshakeFlag::kNoZeroes) != 0);
    for (const Step step : {&Conversation::AskOptions, &Conversation::Enter, &Conversation::ReadSome}) {
      if (const auto done = (this->*step)(); !done) {
        return std::unexpected(ProbeError{.sentence = done.error()});
      }
      if (!profile_.refusal.empty()) {
        return profile_;
      }
    }
    if (options_.kept != nullptr) {
      *options_.kept = std::move(session_);
    } else {
      session_.Disconnect();
    }
    return profile_;
  }

 private:
  using Done = std::expected<void, std::string>;
  using Step = Done (Conversation::*)();

  void Mark(Features feature, bool offered) { profile_.features |= offered ? feature : 0; }

  // Takes note of how long `ask` waits for the server.
  template <typename Function>
  auto Timed(const Function& ask) {
    const auto begin = Transport::Clock::now();
    auto answer = ask();
    profile_.longest_wait = std::max(profile_.longest_wait, Transport::Clock::now() - begin);
    return answer;
  }

  // Asks an option of the export under test.
  std::expected<OptionReplies, std::string> Ask(std::uint32_t option, std::vector<std::string> queries = {}) {
    return Timed([&] {
      return session_.Try(MakeOption(
          option, {.export_name = options_.export_name, .requests = InfoRequests(), .queries = std::move(queries)}));
    });
  }

  // Where a server knows options.
  Done AskOptions() {
    if (!profile_.Offers(Feature::kFixedNewstyle)) {
      return {};
    }
    NBDSPEC_RETURN_IF_ERROR(AskList());
    NBDSPEC_RETURN_IF_ERROR(Ask(OptionType::kStructuredReply));
    Mark(Feature::kStructuredReplies, session_.negotiated().structured_replies);
    NBDSPEC_RETURN_IF_ERROR(AskContexts());
    NBDSPEC_ASSIGN_OR_RETURN(info, Ask(OptionType::kInfo));
    Mark(Feature::kInfo, info.back().type != OptionReplyType::kErrUnsup);
    return {};
  }

  Done AskList() {
    NBDSPEC_ASSIGN_OR_RETURN(replies, Ask(OptionType::kList));
    Mark(Feature::kList, replies.back().type == OptionReplyType::kAck);
    profile_.exports = PayloadsOf<ListedExport>(replies, OptionReplyType::kServer);
    profile_.exports.resize(std::min(profile_.exports.size(), kListedMax));
    return {};
  }

  // Lists contexts, then selects all of them and base:allocation.
  Done AskContexts() {
    if (!profile_.Offers(Feature::kStructuredReplies)) {
      return {};
    }
    NBDSPEC_ASSIGN_OR_RETURN(listed, Ask(OptionType::kListMetaContext));
    profile_.contexts = ContextNames(listed);
    std::vector<std::string> wanted = profile_.contexts;
    if (std::ranges::count(wanted, kBaseAllocation) == 0) {
      wanted.emplace_back(kBaseAllocation);
    }
    NBDSPEC_ASSIGN_OR_RETURN(set, Ask(OptionType::kSetMetaContext, std::move(wanted)));
    if (set.back().type == OptionReplyType::kErrExtHeaderReqd) {  // One of them needs extended headers.
      NBDSPEC_ASSIGN_OR_RETURN(base, Ask(OptionType::kSetMetaContext, {std::string(kBaseAllocation)}));
      set = std::move(base);
    }
    Mark(Feature::kMetaContexts, set.back().type != OptionReplyType::kErrUnsup);
    const std::vector<std::string> selected = ContextNames(set);
    const auto base_count = std::ranges::count(selected, kBaseAllocation);
    Mark(Feature::kBaseAllocation, base_count > 0);
    Mark(Feature::kSecondContext, base_count > 0 && std::cmp_greater(selected.size(), base_count));
    return {};
  }

  static std::vector<std::string> ContextNames(const OptionReplies& replies) {
    std::vector<std::string> names;
    for (MetaContext& context : PayloadsOf<MetaContext>(replies, OptionReplyType::kMetaContext)) {
      names.push_back(std::move(context.name));
    }
    names.resize(std::min(names.size(), kListedMax));
    return names;
  }

  // By GO where the server knows it. Returns the option; 0 when it refused, or had no need of one.
  std::expected<std::uint32_t, std::string> EnterOrRefusal() {
    if (session_.negotiated().oldstyle) {
      return 0;
    }
    if (profile_.Offers(Feature::kFixedNewstyle)) {
      NBDSPEC_ASSIGN_OR_RETURN(replies, Ask(OptionType::kGo));
      if (session_.negotiated().transmission) {
        return OptionType::kGo;
      }
      if (replies.back().type != OptionReplyType::kErrUnsup) {
        const bool needs_tls = replies.back().type == OptionReplyType::kErrTlsReqd;
        profile_.refusal = RefusalText(replies) + (needs_tls ? " (--tls holds conversations inside TLS)" : "");
        return 0;
      }
    }
    const auto by_name = Timed(
        [&] { return session_.AskExportName(options_.export_name, !session_.negotiated().pads_export_name_reply()); });
    if (by_name) {
      return OptionType::kExportName;
    }
    const ReceiveError& ended = by_name.error();
    // The first is the only way to refuse; some do it by an option reply.
    const bool is_refusal =
        (ended.is_disconnect() && session_.pending().empty()) || ended.kind == ReceiveError::kUnexpected;
    if (!is_refusal) {
      return std::unexpected("NBD_OPT_EXPORT_NAME got no answer: " + ended.text);
    }
    profile_.refusal = "NBD_OPT_EXPORT_NAME: " + ended.text;
    return 0;
  }

  Done Enter() {
    const auto entered_by = EnterOrRefusal();
    if (!entered_by) {
      return std::unexpected("the export " + Quoted(options_.export_name) +
                             " cannot be entered: " + entered_by.error());
    }
    if (!profile_.refusal.empty()) {
      return {};
    }
    const Negotiated& negotiated = session_.negotiated();
    if (!negotiated.has_info) {
      return std::unexpected("NBD_OPT_GO was acknowledged without NBD_INFO_EXPORT");
    }
    profile_.info = negotiated.info;
    profile_.block_size = negotiated.block_size;
    Mark(Feature::kGo, *entered_by == OptionType::kGo);
    Mark(Feature::kBlockSize, negotiated.has_block_size);
    Mark(Feature::kMinimumAboveOne, negotiated.block_size.minimum > 1);
    for (int i = 0; i < kFeatureCount; ++i) {
      Mark(1U << i, negotiated.Has(kFeatures[i].flag));
    }
    Mark(Feature::kWritable, options_.may_write && !negotiated.Has(TransmissionFlag::kReadOnly));
    Mark(Feature::kNoFastZero,
         negotiated.Has(TransmissionFlag::kSendWriteZeroes) && !negotiated.Has(TransmissionFlag::kSendFastZero));
    return {};
  }

  Done ReadSome() {
    const std::uint64_t length =
        std::min<std::uint64_t>(profile_.info.size, std::max(512U, profile_.block_size.minimum));
    if (length == 0 || length > (1U << 20)) {
      return {};  // An empty export, or a minimum block size that no server may advertise: for the checks to judge.
    }
    const auto answer = Timed([&] { return session_.Ask(Request{.length = static_cast<std::uint32_t>(length)}); });
    return answer ? Done()
                  : std::unexpected(fmt::format("a READ of {} bytes got no answer: {}", length, answer.error().text));
  }

  Session session_;
  const ProbeOptions& options_;
  Profile profile_;
};

std::expected<Session, Trouble> ConnectTo(Peer& peer, const ProbeOptions& options, Transcript& transcript,
                                          int connection) {
  NBDSPEC_ASSIGN_OR_RETURN(transport, peer.Connect(Transport::Clock::now() + options.limits.reply_timeout));
  return Session(std::move(transport), options.limits, transcript, connection, peer.tls());
}

// What a conversation of its own shows of extended headers. A server that does not get so far does not have them.
Features FindExtended(Session session, const std::string& export_name, bool has_base_allocation) {
  if (!session.Greet() || !session.Require(MakeOption(OptionType::kExtendedHeaders))) {
    return 0;
  }
  const Option select =
      MakeOption(OptionType::kSetMetaContext, {.export_name = export_name, .queries = {std::string(kBaseAllocation)}});
  if (!has_base_allocation || !session.Require(select) || !session.EnterByGo(export_name)) {
    session.Send(Option{.option = OptionType::kAbort});
    return Feature::kExtendedHeaders;
  }
  const bool takes_payload = session.negotiated().Has(TransmissionFlag::kBlockStatusPayload);
  session.Disconnect();
  return Feature::kExtendedHeaders | (takes_payload ? Feature::kBlockStatusPayload : 0);
}

}  // namespace

std::string_view Describe(Features feature) { return kFeatures[std::countr_zero(feature)].name; }

reports::Advertised Profile::Advertised() const {
  const auto list = [](const auto& all, auto name_of) {
    return fmt::format(
        "{}", fmt::join(all | std::views::transform([&](const auto& each) { return Quoted(name_of(each)); }), ", "));
  };
  reports::Advertised advertised = {
      {"handshake flags", is_oldstyle() ? "none, by an oldstyle greeting" : HandshakeFlagNames(greeting.flags)},
      {"transmission flags", TransmissionFlagNames(info.flags)},
      {"size", std::to_string(info.size)},
      {"exports", list(exports, std::mem_fn(&ListedExport::name))},
      {"structured replies", Offers(Feature::kStructuredReplies) ? "yes" : "no"},
      {"metadata contexts", list(contexts, std::identity())},
  };
  if (Offers(Feature::kBlockSize)) {
    advertised.emplace_back("block sizes", fmt::format("minimum {}, preferred {}, maximum {}", block_size.minimum,
                                                       block_size.preferred, block_size.maximum));
  }
  return advertised;
}

std::expected<Profile, ProbeError> Probe(Peer& peer, const ProbeOptions& options, Transcript& transcript) {
  auto session = ConnectTo(peer, options, transcript, /*connection=*/1);
  if (!session) {
    return std::unexpected(ProbeError{.is_unreachable = true, .sentence = session.error().sentence});
  }
  auto profile = Conversation(*std::move(session), options).Run();
  if (profile && options.asks_extended && profile->Offers(Feature::kFixedNewstyle)) {
    if (auto other = ConnectTo(peer, options, transcript, /*connection=*/2)) {
      profile->features |=
          FindExtended(*std::move(other), options.export_name, profile->Offers(Feature::kBaseAllocation));
    }
  }
  return profile;
}

}  // namespace nbdspec::conformance
