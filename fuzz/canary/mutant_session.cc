// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/canary/mutant_session.h"

#include <algorithm>
#include <utility>

namespace nbdspec::fuzz {

using engine::Chunk;
using engine::ChunkFlag;
using engine::ChunkType;
using engine::CommandFlag;
using engine::CommandType;
using engine::ConnectionState;
using engine::NbdError;
using engine::Option;
using engine::OptionReply;
using engine::OptionReplyType;
using engine::OptionType;
using engine::Request;
using engine::ServerMessage;
using engine::SimpleReply;

namespace {

// Calls `change` for each message that is a `Message`.
template <typename Message, typename Change>
void ForEach(std::vector<ServerMessage>& said, Change change) {
  for (ServerMessage& each : said) {
    if (auto* message = std::get_if<Message>(&each)) {
      change(*message);
    }
  }
}

// Calls `change` for each reply of `type`, with its payload taken apart, and puts it together again.
template <typename Payload, typename Decode, typename Change>
void ForEachPayload(std::vector<ServerMessage>& said, std::uint32_t type, Decode decode, Change change) {
  ForEach<OptionReply>(said, [&](OptionReply& reply) {
    std::optional<Payload> payload = decode(reply.payload);
    if (reply.type == type && payload) {
      change(*payload);
      reply.payload = EncodePayload(*payload);
    }
  });
}

}  // namespace

bool MutantSession::BeforeServer(engine::ClientMessage& heard, const ConnectionState& /*state*/) {
  auto* request = std::get_if<Request>(&heard);
  if (request == nullptr) {
    return true;
  }
  if (bug_ == SessionBug::kLastByteOfUnalignedWriteIsLost && request->offset % 512 != 0 && !request->payload.empty()) {
    request->payload.back() = 0;
  }
  if (bug_ == SessionBug::kTrimIsForgotten && request->type == CommandType::kTrim) {
    request->type = CommandType::kCache;
  }
  if (bug_ == SessionBug::kNoHoleIsForgotten && request->type == CommandType::kWriteZeroes) {
    request->flags &= static_cast<std::uint16_t>(~CommandFlag::kNoHole);
  }
  if (bug_ == SessionBug::kUnknownFlagsAreIgnored) {
    request->flags &= 0x3f;
  }
  return true;
}

void MutantSession::AfterServer(const engine::ClientMessage* heard, const ConnectionState& state, Said& said) {
  if (heard == nullptr) {
    return;
  }
  if (const auto* option = std::get_if<Option>(heard)) {
    SpoilOption(*option, state, said);
  } else if (const auto* request = std::get_if<Request>(heard)) {
    SpoilAnswer(*request, state, said);
  }
}

void MutantSession::SpoilOption(const Option& option, const ConnectionState& state, Said& said) {
  const bool is_list = option.option == OptionType::kList && said.size() > 1;
  if (bug_ == SessionBug::kListHasNoFinalAck && is_list) {
    said.pop_back();
  } else if (bug_ == SessionBug::kListNamesAnExportTwice && is_list) {
    said.insert(said.begin(), said[0]);
  } else if (bug_ == SessionBug::kEverySecondSessionIsSilentToList && is_list && number_ % 2 == 1) {
    said.clear();
  } else if (bug_ == SessionBug::kAbortIsNotAcknowledged && option.option == OptionType::kAbort) {
    said.erase(said.begin());
  } else if (bug_ == SessionBug::kOptionReplyNamesAnotherOption && option.option == OptionType::kInfo) {
    ForEach<OptionReply>(said, [](OptionReply& reply) { reply.option = OptionType::kGo; });
  } else if (bug_ == SessionBug::kUnknownExportIsCalledInvalid) {
    ForEach<OptionReply>(said, [](OptionReply& reply) {
      reply.type = reply.type == OptionReplyType::kErrUnknown ? OptionReplyType::kErrInvalid : reply.type;
    });
  } else if (bug_ == SessionBug::kPadIsSentDespiteNoZeroes) {
    ForEach<engine::ExportNameReply>(said, [](auto& reply) { reply.pad.resize(engine::kExportNamePadBytes); });
  }
  SpoilContexts(option, said);
  SpoilInformation(state, said);
}

void MutantSession::SpoilContexts(const Option& option, Said& said) {
  const bool is_set = option.option == OptionType::kSetMetaContext;
  ForEachPayload<engine::MetaContext>(said, OptionReplyType::kMetaContext, engine::DecodeMetaContext,
                                      [&](engine::MetaContext& context) {
                                        if (is_set) {
                                          stale_.push_back(context);
                                        }
                                        if (bug_ == SessionBug::kListedContextsHaveIds && !is_set) {
                                          context.id = 1;
                                        }
                                        if (bug_ == SessionBug::kSelectedContextsShareAnId && is_set) {
                                          context.id = 1;
                                        }
                                      });
}

void MutantSession::SpoilInformation(const ConnectionState& state, Said& said) const {
  if (bug_ == SessionBug::kDfIsOfferedWithoutStructuredReplies && !state.structured_replies) {
    ForEachPayload<engine::InfoExport>(
        said, OptionReplyType::kInfo, engine::DecodeInfoExport,
        [](engine::InfoExport& info) { info.flags |= engine::TransmissionFlag::kSendDf; });
  }
  if (bug_ == SessionBug::kBlockSizeIsWithheld) {
    std::erase_if(said, [](const ServerMessage& message) {
      const auto* reply = std::get_if<OptionReply>(&message);
      return reply != nullptr && reply->type == OptionReplyType::kInfo && engine::DecodeInfoBlockSize(reply->payload);
    });
  }
}

void MutantSession::SpoilAnswer(const Request& request, const ConnectionState& state, Said& said) {
  const bool is_disc = request.type == CommandType::kDisc;
  if (bug_ == SessionBug::kCookieIsCutTo32Bits) {
    const auto cut = [](auto& reply) { reply.cookie &= 0xffffffff; };
    ForEach<SimpleReply>(said, cut);
    ForEach<Chunk>(said, cut);
  } else if (bug_ == SessionBug::kFlushIsAnsweredTwice && request.type == CommandType::kFlush) {
    said.push_back(said[0]);
  } else if (bug_ == SessionBug::kEmptyWriteIsNotAnswered && request.type == CommandType::kWrite &&
             request.length == 0) {
    said.clear();
  } else if (bug_ == SessionBug::kWriteHasAChunkInSimpleMode && request.type == CommandType::kWrite &&
             !state.structured_replies) {
    said = {Chunk{.flags = ChunkFlag::kDone, .cookie = request.cookie}};
  } else if (bug_ == SessionBug::kDataFollowsDisc && is_disc) {
    said.insert(said.begin(), SimpleReply{.cookie = request.cookie});
  } else if (bug_ == SessionBug::kDiscLeavesTheConnectionOpen && is_disc) {
    said.clear();
  }
  if (request.type == CommandType::kRead) {
    SpoilRead(request, state, said);
  }
  if (request.type == CommandType::kBlockStatus) {
    SpoilStatus(request, state, said);
  }
  SpoilError(said);
}

void MutantSession::SpoilRead(const Request& request, const ConnectionState& state, Said& said) const {
  if (bug_ == SessionBug::kReadHasASimpleReplyInStructuredMode && state.structured_replies) {
    said = {SimpleReply{.error = NbdError::kEinval, .cookie = request.cookie}};
  } else if (bug_ == SessionBug::kReadLeavesOutAChunk && said.size() > 2) {
    said.erase(said.begin());
  } else if (bug_ == SessionBug::kDoneIsOnTheFirstChunk && said.size() > 1) {
    std::get<Chunk>(said.front()).flags = ChunkFlag::kDone;
  }
  const auto* only = said.size() == 1 ? std::get_if<Chunk>(&said[0]) : nullptr;
  auto data =
      only != nullptr && only->type == ChunkType::kOffsetData ? engine::DecodeOffsetData(only->payload) : std::nullopt;
  if (bug_ == SessionBug::kReadOfOneByteIsWrong && data && data->data.size() == 1) {
    data->data[0] ^= 1;
    std::get<Chunk>(said[0]).payload = EncodePayload(*data);
  }
  if (bug_ == SessionBug::kDfReadComesInTwoChunks && data && (request.flags & CommandFlag::kDf) != 0 &&
      data->data.size() > 512) {
    Chunk first = *only;
    first.flags = 0;
    first.payload = EncodePayload(engine::OffsetData{
        .offset = data->offset, .data = engine::Bytes(data->data.begin(), data->data.begin() + 512)});
    data->data.erase(data->data.begin(), data->data.begin() + 512);
    data->offset += 512;
    std::get<Chunk>(said[0]).payload = EncodePayload(*data);
    said.insert(said.begin(), first);
  }
}

void MutantSession::SpoilStatus(const Request& request, const ConnectionState& state, Said& said) const {
  if (bug_ == SessionBug::kContextsSurviveALaterSet && state.contexts.empty() && !stale_.empty()) {
    const engine::BlockStatus status = {.context_id = stale_[0].id, .descriptors = {{.length = request.length}}};
    said = {Chunk{.flags = ChunkFlag::kDone,
                  .type = ChunkType::kBlockStatus,
                  .cookie = request.cookie,
                  .payload = EncodePayload(status)}};
  }
  ForEach<Chunk>(said, [&](Chunk& chunk) {
    auto status = engine::DecodeBlockStatus(chunk.payload);
    if (chunk.type != ChunkType::kBlockStatus || !status) {
      return;
    }
    if (bug_ == SessionBug::kZeroIsClaimedOverData && status->descriptors.size() > 2) {
      status->descriptors[1].status |= engine::AllocationFlag::kZero;
    } else if (bug_ == SessionBug::kReqOneHasTwoDescriptors && (request.flags & CommandFlag::kReqOne) != 0) {
      status->descriptors.push_back({.length = 512});
    } else if (bug_ == SessionBug::kLastDescriptorIsEmpty && status->descriptors.size() > 1) {
      status->descriptors.back().length = 0;
    } else if (bug_ == SessionBug::kBlockIndexStaysZero && status->descriptors.size() == 1 &&
               request.offset >= 1 << 16) {
      status->descriptors[0].status = 0;
    }
    chunk.payload = EncodePayload(*status);
  });
}

void MutantSession::SpoilError(Said& said) const {
  const auto changed = [&](std::uint32_t error) {
    if (bug_ == SessionBug::kErrorIs999 && error != NbdError::kOk) {
      return 999U;
    }
    const bool becomes_einval = (bug_ == SessionBug::kWritePastTheEndIsEinval && error == NbdError::kEnospc) ||
                                (bug_ == SessionBug::kReadOnlyIsEinval && error == NbdError::kEperm);
    return becomes_einval ? NbdError::kEinval : error;
  };
  ForEach<SimpleReply>(said, [&](SimpleReply& reply) { reply.error = changed(reply.error); });
  ForEach<Chunk>(said, [&](Chunk& chunk) {
    auto error = chunk.is_error() ? engine::DecodeErrorPayload(chunk.type, chunk.payload) : std::nullopt;
    if (error) {
      error->error = changed(error->error);
      chunk.payload = EncodePayload(*error);
    }
  });
}

}  // namespace nbdspec::fuzz
