// SPDX-License-Identifier: BSD-3-Clause
// The checks of what a client copes with: servers that keep the rules, in ways that a clause about clients names, or do
// not do what is asked.
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "conformance/clients/client_check.h"
#include "conformance/clients/refusals.h"
#include "engine/faults/answer_changes.h"
#include "engine/faults/option_changes.h"

namespace nbdspec::conformance {

namespace {

using namespace engine::faults;  // The vocabulary of changes.
using engine::ChunkFlag;
using engine::ChunkType;
using engine::ClientMessage;
using engine::Descriptor;
using engine::ExportOptions;
using engine::HandshakeFlag;
using engine::InfoType;
using engine::MetaContext;
using engine::NbdError;
using engine::Option;
using engine::OptionReplyType;
using engine::Request;
using engine::TransmissionFlag;

// --- What was sent on the wire ---

template <typename Message>
const Message* SentAt(const engine::Record& record, std::size_t index) {
  const auto* message = std::get_if<ClientMessage>(&record.seen[index].what);
  return message != nullptr ? std::get_if<Message>(message) : nullptr;
}

// Where the client first sent such a message, of what it sent from `begin` on.
template <typename Message, typename Is>
std::optional<std::size_t> FindSent(const engine::Record& record, std::size_t begin, Is is) {
  for (std::size_t i = begin; i < record.seen.size(); ++i) {
    if (const auto* message = SentAt<Message>(record, i); message != nullptr && is(*message)) {
      return i;
    }
  }
  return {};
}

bool IsAbort(const Option& option) { return option.option == kAbort; }
bool IsDisc(const Request& request) { return request.type == kDisc; }
bool IsData(const Request& request) { return request.type == kRead || request.type == kWrite; }

// On each connection that met the change, the client sent such a message afterwards.
template <typename Message, auto is>
ClientJudgement JudgeSendsAfter(const Performance& performance) {
  if (auto harm = FindHarm(performance)) {
    return *std::move(harm);
  }
  ClientJudgement judgement{.judgement = NotApplicable("the client never met it")};
  for (std::size_t i = 0; i < performance.plays.size(); ++i) {
    const auto& records = performance.plays[i].run.records;
    for (std::size_t c = 0; c < records.size(); ++c) {
      if (!records[c].changed_at) {
        continue;
      }
      const auto sent = FindSent<Message>(records[c], *records[c].changed_at, is);
      if (!sent) {
        return {.judgement = Broken("the client left without a word", "a farewell: the server keeps the rules"),
                .place = {.play = i, .connection = c, .message = records[c].changed_at}};
      }
      judgement = {.judgement = Holds(), .place = {.play = i, .connection = c, .message = sent}};
    }
  }
  return judgement;
}

// On some connection the client sent such a message, and it succeeded.
template <typename Message, auto is>
ClientJudgement JudgeImplements(const Performance& performance) {
  for (std::size_t i = 0; i < performance.plays.size(); ++i) {
    const auto& records = performance.plays[i].run.records;
    for (std::size_t c = 0; c < records.size() && performance.plays[i].succeeded(); ++c) {
      if (const auto sent = FindSent<Message>(records[c], 0, is)) {
        return {.judgement = Holds(), .place = {.play = i, .connection = c, .message = sent}};
      }
    }
  }
  return {.judgement = NotApplicable("the client sent no such message")};
}

ClientJudgement JudgeCopiesOut(const Performance& performance) {
  return JudgeCopesAt(performance, ClientTask::kCopiesOut);
}
ClientJudgement JudgeCopiesIn(const Performance& performance) {
  return JudgeCopesAt(performance, ClientTask::kCopiesIn);
}

// Nothing that a client could be right or wrong in but harm.
ClientJudgement JudgeHarm(const Performance& performance) {
  if (auto harm = FindHarm(performance)) {
    return *std::move(harm);
  }
  const bool was_met = std::ranges::any_of(performance.plays, &ClientPlay::was_met);
  return {.judgement = was_met ? Holds() : NotApplicable("the client never met it")};
}

// A client without CAN_MULTI_CONN sends its data on one connection.
ClientJudgement JudgeOneConnection(const Performance& performance) {
  ClientJudgement judgement{.judgement = NotApplicable("the client sent no data request")};
  for (std::size_t i = 0; i < performance.plays.size(); ++i) {
    const ClientRun& run = performance.plays[i].run;
    std::vector<std::size_t> busy;
    for (std::size_t c = 0; c < run.records.size(); ++c) {
      if (FindSent<Request>(run.records[c], 0, IsData)) {
        busy.push_back(c);
      }
    }
    if (busy.size() > 1 && run.at_once > 1) {
      return {.judgement = Broken(fmt::format("requests on {} connections", busy.size()),
                                  "one connection, without CAN_MULTI_CONN"),
              .place = {.play = i, .connection = busy[1]}};
    }
    if (!busy.empty()) {
      judgement = {.judgement = Holds(), .place = {.play = i, .connection = busy[0]}};
    }
  }
  return judgement;
}

// What was copied in is made durable.
ClientJudgement JudgeFlushes(const Performance& performance) {
  ClientJudgement judgement{.judgement = NotApplicable("no command of the client's copies in")};
  for (std::size_t i = 0; i < performance.plays.size(); ++i) {
    const ClientPlay& play = performance.plays[i];
    if ((play.tasks & ClientTask::kCopiesIn) == 0 || !play.succeeded()) {
      continue;
    }
    const bool does = std::ranges::any_of(play.run.records, [](const engine::Record& record) {
      return FindSent<Request>(record, 0,
                               [](const Request& request) {
                                 return request.type == kFlush || Has(request, engine::CommandFlag::kFua);
                               })
          .has_value();
    });
    if (!does) {
      return {
          .judgement = Broken("neither NBD_CMD_FLUSH nor FUA", "one of them, which the server offers, before the end"),
          .place = {.play = i}};
    }
    judgement = {.judgement = Holds(), .place = {.play = i}};
  }
  return judgement;
}

// Behind an oldstyle greeting come requests alone, and not before it is whole.
ClientJudgement JudgeOldstyle(const Performance& performance) {
  if (auto harm = FindHarm(performance)) {
    return *std::move(harm);
  }
  ClientJudgement judgement{.judgement = NotApplicable("the client sent nothing")};
  for (std::size_t i = 0; i < performance.plays.size(); ++i) {
    const auto& records = performance.plays[i].run.records;
    for (std::size_t c = 0; c < records.size(); ++c) {
      const auto first = std::ranges::find_if(records[c].seen, [](const engine::Seen& seen) {
        return std::holds_alternative<ClientMessage>(seen.what) || std::holds_alternative<engine::NoMessage>(seen.what);
      });
      if (first == records[c].seen.end()) {
        continue;
      }
      const auto index = static_cast<std::size_t>(first - records[c].seen.begin());
      const bool is_request = SentAt<Request>(records[c], index) != nullptr;
      judgement = {.judgement = Require(is_request && !first->is_early,
                                        is_request ? "a request before the greeting was sent" : "bytes of haggling",
                                        "nothing until the whole greeting came, and then requests alone"),
                   .place = {.play = i, .connection = c, .message = index}};
      if (judgement.judgement.is_broken()) {
        return judgement;
      }
    }
  }
  return judgement;
}

// Calls judge(play, request) for each request of those that succeeded in copying out; as JudgeCopies, where there is
// none of them.
template <typename JudgeRead>
ClientJudgement ForEachRead(const Performance& performance, JudgeRead judge) {
  ClientJudgement all{.judgement = NotApplicable("no command of the client's copied out")};
  for (std::size_t i = 0; i < performance.plays.size(); ++i) {
    const ClientPlay& play = performance.plays[i];
    for (std::size_t c = 0; c < play.run.records.size() && (play.tasks & ClientTask::kCopiesOut) != 0; ++c) {
      for (std::size_t index = 0; index < play.run.records[c].seen.size(); ++index) {
        const auto* request = SentAt<Request>(play.run.records[c], index);
        if (request == nullptr || request->type != kRead) {
          continue;
        }
        ClientJudgement one{.judgement = judge(play, *request),
                            .place = {.play = i, .connection = c, .message = index}};
        if (one.judgement.is_broken()) {
          return one;
        }
        all = one.judgement.holds() ? std::move(one) : std::move(all);
      }
    }
  }
  return all;
}

constexpr std::uint32_t kPreferred = 64 * 1024;

// Who copies all of an export of whole blocks, and knows of no holes, can keep to the blocks.
ClientJudgement JudgeAligned(const Performance& performance) {
  return ForEachRead(performance, [](const ClientPlay& play, const Request& read) {
    return play.succeeded() ? Require(read.offset % kPreferred == 0 && read.length % kPreferred == 0,
                                      fmt::format("a READ of {} bytes at {}", read.length, read.offset),
                                      fmt::format("a multiple of {}, the preferred block size", kPreferred))
                            : NotApplicable("it did not succeed");
  });
}

// Who asks for much at once takes it.
ClientJudgement JudgeTakesMuch(const Performance& performance) {
  if (auto harm = FindHarm(performance)) {
    return *std::move(harm);
  }
  return ForEachRead(performance, [](const ClientPlay& play, const Request& read) {
    return read.length > kPreferred ? Require(play.succeeded(), fmt::format("the client {}", play.run.ended),
                                              fmt::format("success: it asked for the {} bytes", read.length))
                                    : NotApplicable("the client asks for no more than 64 KiB at once");
  });
}

// Whoever lists exports copes with the list.
ClientJudgement JudgeLists(const Performance& performance) {
  if (auto harm = FindHarm(performance)) {
    return *std::move(harm);
  }
  ClientJudgement judgement{.judgement = NotApplicable("no command of the client's lists exports")};
  for (std::size_t i = 0; i < performance.plays.size(); ++i) {
    const ClientPlay& play = performance.plays[i];
    for (std::size_t c = 0; c < play.run.records.size() && !play.run.is_by_hand; ++c) {
      const auto sent =
          FindSent<Option>(play.run.records[c], 0, [](const Option& option) { return option.option == kList; });
      if (sent && !judgement.judgement.is_broken()) {
        judgement = {.judgement = Require(play.succeeded(), fmt::format("the client {}", play.run.ended),
                                          "success: the server listed its exports"),
                     .place = {.play = i, .connection = c, .message = sent}};
      }
    }
  }
  return judgement;
}

ClientJudgement JudgeSerial(const Performance& performance) { return JudgeRule(performance, kOptionSerial); }
ClientJudgement JudgeDiscWaits(const Performance& performance) { return JudgeRule(performance, kDiscClientWaits); }

// --- Changes ---

std::vector<Change> Changed(Change change) { return {std::move(change)}; }

// Of READs that touch the data in the middle, so that something was copied before.
bool IsInTheMiddle(const Request& to, const Messages& /*sent*/) {
  return to.offset <= (1 << 20) && EndOf(to) > (1 << 20);
}

Change SplitsFirstDescriptor() {
  return ChangesAllocation(0, [](std::vector<Descriptor>& descriptors) {
    constexpr std::uint64_t kPart = 4096;
    if (descriptors[0].length > kPart) {
      descriptors.insert(descriptors.begin(), {.length = kPart, .status = descriptors[0].status});
      descriptors[1].length -= kPart;
    }
  });
}

// In pieces of so many bytes, where more than one descriptor may be sent.
Change SplitsDescriptors(std::uint64_t piece) {
  return ChangesAllocation(0, [piece](const Request& to, std::vector<Descriptor>& descriptors) {
    if (Has(to, engine::CommandFlag::kReqOne)) {
      return;
    }
    std::vector<Descriptor> pieces;
    for (const Descriptor& each : descriptors) {
      for (std::uint64_t done = 0; done < each.length; done += piece) {
        pieces.push_back({.length = std::min(piece, each.length - done), .status = each.status});
      }
    }
    descriptors = std::move(pieces);
  });
}

Change FailsListingContextsAtTheEnd() {
  return ChangesOptionAnswer(kListContexts, [](const Option& to, Messages& sent) {
    if (!IsRefused(sent)) {
      sent.back() = engine::OptionReply{.option = to.option, .type = kErrTooBig};
    }
  });
}

}  // namespace

std::vector<ScenarioCheck> CopingChecks() {
  const auto without_chunks = [] {
    return engine::ServerOptions{.structured_replies = false, .extended_headers = false};
  };
  return {
      {std::string(kBaselineNotlsClient), "a plain server is used, without TLS", {}},
      {std::string(kBaselineFixedNewstyleClient), "a plain server is used, by the fixed newstyle handshake", {}},
      {std::string(kBaselineReadClient), "an export is copied out of a plain server", {}, JudgeCopiesOut},
      {std::string(kBaselineReadClient) + "/slow-pieces",
       "the same of a server whose bytes come in pieces of 13",
       {.pace = {.piece_bytes_max = 13}},
       JudgeCopiesOut},
      {std::string(kBaselineReadClient) + "/odd-size",
       "the same of an export whose size is no multiple of a page",
       {.size = (2 << 20) + 3584},
       JudgeCopiesOut},
      {std::string(kBaselineWriteClient), "an export is copied into a plain server", {}, JudgeCopiesIn},
      {std::string(kBaselineWriteClient) + "/odd-size",
       "the same of an export whose size is no multiple of a page",
       {.size = (2 << 20) + 3584},
       JudgeCopiesIn},
      {std::string(kBaselineWriteClient) + "/writes-only",
       "the same where nothing but WRITE and FLUSH is offered",
       {.offers = [](ExportOptions& of) { of.flags = TransmissionFlag::kHasFlags | TransmissionFlag::kSendFlush; }},
       JudgeCopiesIn},
      {std::string(kBaselineWriteClient) + "/fails",
       "a WRITE that fails is no success",
       {.serves = Serves::kRefusal, .changes = Changed(Fails(kWrite, kEnospc, IsInTheMiddle))},
       JudgeNotices},
      {std::string(kBaselineWriteClient) + "/read-only",
       "a read-only export is not copied into",
       {.serves = Serves::kRefusal,
        .offers = [](ExportOptions& of) { of.read_only = true; },
        .may_fail = ClientTask::kCopiesOut | ClientTask::kMaps},
       JudgeNotices},
      {std::string(kBaselineAbortClient),
       "a client that is let in nowhere sends ABORT",
       {.serves = Serves::kRefusal, .changes = Changed(RefusesEntry(kErrUnknown))},
       JudgeSendsAfter<Option, IsAbort>},
      {std::string(kBaselineSimpleRepliesClient),
       "a server without structured replies is used",
       {.server = without_chunks(), .may_fail = ClientTask::kMaps}},
      {std::string(kBaselineSimpleRepliesClient) + "/fails",
       "a READ that fails is no success, by a simple reply",
       {.serves = Serves::kRefusal,
        .server = without_chunks(),
        .changes = Changed(Fails(kRead, kEio, IsInTheMiddle)),
        .may_fail = ClientTask::kCopiesIn | ClientTask::kMaps},
       JudgeNotices},
      {std::string(kBaselineInfoGoClient),
       "a server is used that lets nobody in by EXPORT_NAME",
       {.changes =
            Changed(ChangesOptionAnswer(kExportName, [](Messages& sent) { sent = {engine::HardDisconnect{}}; }))},
       [](const Performance& performance) {
         ClientJudgement judgement = JudgeCopes(performance);
         return judgement.judgement.kind == Judgement::Kind::kNotApplicable && !performance.plays.empty()
                    ? JudgeImplements<Option, [](const Option& option) { return option.option == kGo; }>(performance)
                    : judgement;
       }},
      {std::string(kInteropExportNameClient),
       "a server is used that knows neither INFO nor GO",
       {.changes = Changed(RefusesEntry(kErrUnsup))}},
      {std::string(kOptionInfoClientUnsupFallback), "the same", {.changes = Changed(RefusesEntry(kErrUnsup))}},
      {std::string(kOptionExportNameClientFallback),
       "the same, without NO_ZEROES",
       {.server = {.handshake_flags = HandshakeFlag::kFixedNewstyle}, .changes = Changed(RefusesEntry(kErrUnsup))}},
      {std::string(kInteropFlushFuaClient), "what is copied in is made durable", {}, JudgeFlushes},
      {std::string(kInteropFlushFuaClient) + "/fails",
       "a FLUSH that fails is no success",
       {.serves = Serves::kRefusal,
        .changes = Changed(Fails(kFlush, kEio, Always)),
        .may_fail = ClientTask::kCopiesOut | ClientTask::kMaps},
       JudgeNotices},
      {std::string(kOptionSerial) + "/slow-server",
       "each option waits for the reply to the one before, be it slow",
       {.pace = {.wait = std::chrono::milliseconds(40)}},
       JudgeSerial},
      {std::string(kDiscClientWaits) + "/slow-server",
       "DISC waits for all replies, be they slow",
       {.pace = {.wait = std::chrono::milliseconds(20)}},
       JudgeDiscWaits},
      {std::string(kHandshakeFlagsIgnoreUnknown),
       "handshake flags that nobody knows are disregarded",
       {.changes = Changed(ChangesGreeting([](engine::Greeting& greeting) { greeting.flags |= 0x0100; }))}},
      {std::string(kEflagsClientIgnoreUnknown),
       "transmission flags that nobody knows are disregarded",
       {.changes = Changed(ChangesFlags(1 << 14))}},
      {std::string(kEflagsMultiConnClientAbsent),
       "without CAN_MULTI_CONN data goes over one connection",
       {.offers = [](ExportOptions& of) { of.flags &= static_cast<std::uint16_t>(~TransmissionFlag::kCanMultiConn); }},
       JudgeOneConnection},
      {std::string(kOptionStructuredReplyClientUnsup),
       "structured replies that are refused are done without",
       {.changes = Changed(RefusesOption(kStructuredReply, kErrUnsup)), .may_fail = ClientTask::kMaps}},
      {std::string(kExtOptionClientUnsup),
       "extended headers that are refused are done without",
       {.changes = Changed(RefusesOption(engine::OptionType::kExtendedHeaders, kErrUnsup))}},
      {std::string(kRepInfoClientNoOrder),
       "information comes in reverse",
       {.changes = Changed(ChangesOptionAnswer(kGo,
                                               [](Messages& sent) {
                                                 if (!sent.empty()) {
                                                   std::reverse(sent.begin(), sent.end() - 1);
                                                 }
                                               }))}},
      {std::string(kOptionInfoClientIgnoreUnknown),
       "information of unknown types is disregarded",
       {.changes = Changed(ChangesOptionAnswer(kGo,
                                               [](const Option& to, Messages& sent) {
                                                 if (!IsRefused(sent)) {
                                                   sent.insert(sent.begin(),
                                                               engine::OptionReply{.option = to.option,
                                                                                   .type = OptionReplyType::kInfo,
                                                                                   .payload = {0x12, 0x34, 'x'}});
                                                 }
                                               }))}},
      {std::string(kOptionListMetaContextClientIgnoreId),
       "the ids of listed contexts mean nothing",
       {.changes = Changed(ChangesContexts(kListContexts, [](MetaContext& context) { context.id = 0xdeadbeef; }))}},
      {std::string(kOptionListMetaContextClientDiscard),
       "contexts are listed, and then an error",
       {.changes = Changed(FailsListingContextsAtTheEnd()), .may_fail = kAnyTask},
       JudgeHarm},
      {std::string(kStructuredFlagsClientIgnore),
       "unknown flags of chunks are disregarded",
       {.changes = Changed(ChangesChunks(kRead, [](engine::Chunk& chunk) { chunk.flags |= 1 << 9; }))}},
      {std::string(kStructuredNoneMeansSuccess),
       "a READ ends by a chunk of its own",
       {.changes = Changed(AddsLast(kRead, NoneChunk))}},
      {std::string(kBaseAllocationClientIgnoreUnknown),
       "unknown bits of base:allocation are disregarded",
       {.changes = Changed(ChangesAllocation(0,
                                             [](std::vector<Descriptor>& descriptors) {
                                               std::ranges::for_each(descriptors,
                                                                     [](Descriptor& each) { each.status |= 1 << 7; });
                                             }))}},
      {std::string(kBlockStatusClientSameStatusOk),
       "neighbours have one status",
       {.changes = Changed(SplitsFirstDescriptor())}},
      {std::string(kStructuredSuccessNoErrorChunk),
       "content and then an error is no success",
       {.serves = Serves::kRefusal,
        .changes = Changed(AddsLast(
            kRead, [](const Request& to) { return ErrorChunk(to, {.error = kEio}); },
            [](const Request& to, const Messages& sent) {
              return IsInTheMiddle(to, sent) && OnStructuredSuccess(to, sent);
            }))},
       JudgeNotices},
      {std::string(kStructuredErrorClientNoAssumption),
       "a READ that fails is no success, by an error chunk",
       {.serves = Serves::kRefusal, .changes = Changed(Fails(kRead, kEio, IsInTheMiddle))},
       JudgeNotices},
      {std::string(kStructuredClientUnknownError),
       "an error chunk of an unknown type is an error",
       {.serves = Serves::kRefusal,
        .changes = Changed(ChangesAnswer(kRead,
                                         [](const Request& to, Messages& sent) {
                                           if (IsInTheMiddle(to, sent) && OnStructuredSuccess(to, sent)) {
                                             engine::Chunk unknown = ErrorChunk(to, {.error = kEio}, ChunkFlag::kDone);
                                             unknown.type = ChunkType::kErrorBit | 0x123;
                                             sent = {std::move(unknown)};
                                           }
                                         }))},
       JudgeNotices},
      {std::string(kSessionShutdownClientSoft),
       "a client that is answered ERR_SHUTDOWN sends ABORT",
       {.serves = Serves::kRefusal, .changes = Changed(RefusesEntry(OptionReplyType::kErrShutdown))},
       JudgeSendsAfter<Option, IsAbort>},
      {std::string(kTransmissionShutdownClientSoft),
       "a client that is answered ESHUTDOWN sends DISC",
       {.serves = Serves::kRefusal,
        .changes = Changed(Fails(kAnyCommand, NbdError::kEshutdown,
                                 [](const Request& to, const Messages&) { return to.type != kDisc; }))},
       JudgeSendsAfter<Request, IsDisc>},
      {std::string(kOptionAbortClientToleratesClose),
       "the server closes at ABORT without a reply",
       {.serves = Serves::kRefusal,
        .changes =
            Changed(Both(RefusesEntry(kErrUnknown),
                         ChangesOptionAnswer(kAbort, [](Messages& sent) { sent = {engine::HardDisconnect{}}; })))},
       JudgeNotices},
      {std::string(kBlockSizeClientAbide) + "/strict",
       "a server that has pages of 4096 bytes, and takes 64 KiB, is used",
       {.offers = [](ExportOptions& of) { of.block_size = {.minimum = 4096, .preferred = 4096, .maximum = 65536}; }}},
      {std::string(kBlockSizeDefaultClient512) + "/unasked",
       "a server that says nothing of block sizes is used",
       {.changes = Changed(WithholdsInfo(kAnyOption, InfoType::kBlockSize))}},
      {std::string(kBlockSizeClientAlignPreferred),
       "whole blocks are read, where the server prefers a size",
       {.server = without_chunks(),
        .offers = [](ExportOptions& of) { of.block_size = {.minimum = 512, .preferred = kPreferred}; },
        .may_fail = ClientTask::kMaps},
       JudgeAligned},
      {std::string(kBlockSizeDosNotUnder32mClient),
       "what a READ asked for comes at once",
       {.server = without_chunks(), .may_fail = ClientTask::kMaps},
       JudgeTakesMuch},
      {std::string(kBlockSizeDosNotUnder32mClient) + "/descriptors",
       "a map comes in half a MiB of descriptors",
       {.changes = Changed(SplitsDescriptors(32))}},
      {std::string(kBaselineListClient), "a server that has two exports is listed", {}, JudgeLists},
      {std::string(kHandshakeOldstyleNoClientData),
       "an oldstyle server, be it slow, gets requests alone",
       {.server = {.oldstyle = true}, .pace = {.wait = std::chrono::milliseconds(40)}, .may_fail = kAnyTask},
       JudgeOldstyle},
      {std::string(kUriExportNamePath),
       "the name of an export is what the URI says, decoded",
       {.export_name = "a b/100% \u03bf\u03c7\u03b9"}},
  };
}

}  // namespace nbdspec::conformance
