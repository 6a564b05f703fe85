// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/faulty/fault.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace nbdspec::conformance {

using engine::ClientMessage;
using engine::ConnectionState;
using engine::ServerMessage;

namespace {

class Wrong : public engine::Interposer {
 public:
  Wrong(Hearing hearing, Saying saying) : hearing_(std::move(hearing)), saying_(std::move(saying)) {}

  bool BeforeServer(ClientMessage& heard, const ConnectionState& state) override {
    return !hearing_ || hearing_(heard, state);
  }

  void AfterServer(const ClientMessage* heard, const ConnectionState& state,
                   std::vector<ServerMessage>& said) override {
    if (saying_) {
      saying_(heard, state, said);
    }
  }

 private:
  Hearing hearing_;
  Saying saying_;
};

}  // namespace

Fault HearsAndSaysWrong(std::string_view name, std::string_view check, Hearing hearing, Saying saying) {
  return {.name = name, .check = check, .make = [hearing = std::move(hearing), saying = std::move(saying)] {
            return std::make_unique<Wrong>(hearing, saying);
          }};
}

Fault HearsWrong(std::string_view name, std::string_view check, Hearing hearing) {
  return HearsAndSaysWrong(name, check, std::move(hearing), {});
}

Fault SaysWrong(std::string_view name, std::string_view check, Saying saying) {
  return HearsAndSaysWrong(name, check, {}, std::move(saying));
}

Fault GreetsWrong(std::string_view name, std::string_view check, std::function<void(engine::Greeting&)> change) {
  return SaysWrong(name, check,
                   [change = std::move(change)](const ClientMessage* heard, const ConnectionState&,
                                                std::vector<ServerMessage>& said) {
                     if (heard == nullptr) {
                       change(std::get<engine::Greeting>(said.front()));
                     }
                   });
}

Fault AnswersOptionWrong(std::string_view name, std::string_view check, std::uint32_t option,
                         std::function<void(const engine::Option& to, std::vector<ServerMessage>& said)> change) {
  return SaysWrong(name, check,
                   [option, change = std::move(change)](const ClientMessage* heard, const ConnectionState&,
                                                        std::vector<ServerMessage>& said) {
                     const auto* to = heard != nullptr ? std::get_if<engine::Option>(heard) : nullptr;
                     if (to != nullptr && (option == 0 || to->option == option)) {
                       change(*to, said);
                     }
                   });
}

Fault RepliesWrong(std::string_view name, std::string_view check, std::uint32_t option,
                   std::function<void(const engine::Option& to, engine::OptionReply& reply)> change) {
  return AnswersOptionWrong(name, check, option,
                            [change = std::move(change)](const engine::Option& to, std::vector<ServerMessage>& said) {
                              for (ServerMessage& each : said) {
                                if (auto* reply = std::get_if<engine::OptionReply>(&each)) {
                                  change(to, *reply);
                                }
                              }
                            });
}

Fault AnswersWrong(std::string_view name, std::string_view check, std::uint16_t command,
                   std::function<void(const engine::Request& to, std::vector<ServerMessage>& said)> change) {
  return SaysWrong(name, check,
                   [command, change = std::move(change)](const ClientMessage* heard, const ConnectionState&,
                                                         std::vector<ServerMessage>& said) {
                     const auto* to = heard != nullptr ? std::get_if<engine::Request>(heard) : nullptr;
                     if (to != nullptr && to->type == command) {
                       change(*to, said);
                     }
                   });
}

Fault DescribesWrong(std::string_view name, std::string_view check,
                     std::function<void(const engine::Request& to, engine::BlockStatus& status)> change) {
  return AnswersWrong(name, check, engine::CommandType::kBlockStatus,
                      [change = std::move(change)](const engine::Request& to, std::vector<ServerMessage>& said) {
                        for (ServerMessage& each : said) {
                          auto* chunk = std::get_if<engine::Chunk>(&each);
                          if (chunk == nullptr || chunk->type != engine::ChunkType::kBlockStatus) {
                            continue;
                          }
                          if (auto status = engine::DecodeBlockStatus(chunk->payload)) {
                            change(to, *status);
                            chunk->payload = EncodePayload(*status);
                          }
                        }
                      });
}

std::span<const Fault> AllFaults() {
  static const std::vector<Fault> kAll = [] {
    std::vector<Fault> all;
    for (const auto faults :
         {HandshakeFaults,      ExportNameFaults,  OptionFaults,     StarttlsFaults,    OptionReplyFaults,
          InfoFaults,           BlockSizeFaults,   BlockLimitFaults, MetaContextFaults, ListMetaContextFaults,
          SetMetaContextFaults, BlockStatusFaults, ZeroClaimFaults,  StatusCostFaults,  TransmissionFaults,
          FlagFaults,           ErrorFaults,       ChunkFaults,      ErrorChunkFaults,  ReadFaults,
          WriteFaults,          ZeroingFaults}) {
      std::ranges::move(faults(), std::back_inserter(all));
    }
    return all;
  }();
  return kAll;
}

}  // namespace nbdspec::conformance
