// SPDX-License-Identifier: BSD-3-Clause
// Faults for info_checks.cc.
#include <algorithm>
#include <iterator>

#include "conformance/faulty/fault.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

using engine::ClientMessage;
using engine::ConnectionState;
using engine::HardDisconnect;
using engine::InfoType;
using engine::Option;
using engine::OptionReply;
using engine::OptionReplyType;
using engine::OptionType;
using engine::ServerMessage;

namespace {

bool IsInfo(const ServerMessage& message, std::uint16_t type) {
  const auto* reply = std::get_if<OptionReply>(&message);
  return reply != nullptr && reply->type == OptionReplyType::kInfo && engine::DecodeInfoType(reply->payload) == type;
}

bool IsAck(const ServerMessage& message) {
  const auto* reply = std::get_if<OptionReply>(&message);
  return reply != nullptr && reply->type == OptionReplyType::kAck;
}

// Whether the only answer is an error.
bool IsRefused(const std::vector<ServerMessage>& said) {
  const auto* reply = said.empty() ? nullptr : std::get_if<OptionReply>(&said.back());
  return reply != nullptr && reply->is_error();
}

Fault RepliesBy(std::string_view name, std::string_view check, std::uint32_t option, std::uint32_t type) {
  return AnswersOptionWrong(name, check, option, [type](const Option& to, std::vector<ServerMessage>& said) {
    said = {OptionReply{.option = to.option, .type = type}};
  });
}

// Answers by the error `type` where `wanted` holds of the query.
Fault RefusesQuery(std::string_view name, std::string_view check, std::uint32_t type,
                   bool (*wanted)(const engine::InfoQuery& query)) {
  return AnswersOptionWrong(name, check, OptionType::kInfo,
                            [type, wanted](const Option& to, std::vector<ServerMessage>& said) {
                              const auto query = engine::DecodeInfoQuery(to.payload);
                              if (query && wanted(*query)) {
                                said = {OptionReply{.option = to.option, .type = type}};
                              }
                            });
}

// Leaves the information `type` out of replies to `option`.
Fault Withholds(std::string_view name, std::string_view check, std::uint32_t option, std::uint16_t type) {
  return AnswersOptionWrong(name, check, option, [type](const Option&, std::vector<ServerMessage>& said) {
    std::erase_if(said, [type](const ServerMessage& message) { return IsInfo(message, type); });
  });
}

// Changes the payload of the information `type` in replies to `option`.
Fault InformsWrong(std::string_view name, std::string_view check, std::uint32_t option, std::uint16_t type,
                   std::function<void(engine::Bytes& payload)> change) {
  return AnswersOptionWrong(name, check, option,
                            [type, change = std::move(change)](const Option&, std::vector<ServerMessage>& said) {
                              for (ServerMessage& each : said) {
                                if (IsInfo(each, type)) {
                                  change(std::get<OptionReply>(each).payload);
                                }
                              }
                            });
}

// Takes what it cannot parse for a question about the default export.
bool ParsesAnything(ClientMessage& heard, const ConnectionState&) {
  auto* option = std::get_if<Option>(&heard);
  if (option != nullptr && option->option == OptionType::kInfo && !engine::DecodeInfoQuery(option->payload)) {
    option->payload = EncodePayload(engine::InfoQuery{});
  }
  return true;
}

// Hears GO where `from` is asked, or INFO where GO is; the replies are for `from`.
Fault TakesFor(std::string_view name, std::string_view check, std::uint32_t from, std::uint32_t to) {
  return HearsAndSaysWrong(
      name, check,
      [from, to](ClientMessage& heard, const ConnectionState&) {
        auto* option = std::get_if<Option>(&heard);
        if (option != nullptr && option->option == from) {
          option->option = to;
        }
        return true;
      },
      [from](const ClientMessage* heard, const ConnectionState&, std::vector<ServerMessage>& said) {
        const auto* option = heard != nullptr ? std::get_if<Option>(heard) : nullptr;
        for (ServerMessage& each : said) {
          auto* reply = std::get_if<OptionReply>(&each);
          if (reply != nullptr && option != nullptr && option->option == from) {
            reply->option = from;
          }
        }
      });
}

std::vector<Fault> QueryFaults() {
  return {
      HearsWrong("server_reads_name_past_the_data", spec::kOptionInfoSyntaxInvalid, ParsesAnything),
      HearsWrong("server_reads_requests_past_the_data", spec::kSub<spec::kOptionInfoSyntaxInvalid, "count">,
                 ParsesAnything),
      HearsWrong("server_accepts_two_bytes_of_query", spec::kSub<spec::kOptionInfoSyntaxInvalid, "short">,
                 ParsesAnything),
      RefusesQuery("server_refuses_unknown_request", spec::kOptionInfoIgnoreUnknownRequest,
                   OptionReplyType::kErrInvalid,
                   [](const engine::InfoQuery& query) { return std::ranges::count(query.requests, 0xfffe) > 0; }),
      RefusesQuery("server_calls_empty_name_invalid", spec::kOptionInfoEmptyNameDefault, OptionReplyType::kErrInvalid,
                   [](const engine::InfoQuery& query) { return query.name.empty(); }),
      RefusesQuery("server_calls_unknown_name_invalid", spec::kOptionInfoUnknownExport, OptionReplyType::kErrInvalid,
                   [](const engine::InfoQuery& query) { return !query.name.empty(); }),
      AnswersOptionWrong("server_closes_on_info_for_unknown_name", spec::kOptionInfoUnknownExport, OptionType::kInfo,
                         [](const Option&, std::vector<ServerMessage>& said) {
                           if (IsRefused(said)) {
                             said = {HardDisconnect{}};
                           }
                         }),
      AnswersOptionWrong("server_informs_about_unknown_export", spec::kOptionInfoUnknownNoInfo, OptionType::kInfo,
                         [](const Option& to, std::vector<ServerMessage>& said) {
                           if (IsRefused(said)) {
                             said.insert(said.begin(),
                                         OptionReply{.option = to.option,
                                                     .type = OptionReplyType::kInfo,
                                                     .payload = EncodePayload(engine::InfoExport{.flags = 1})});
                           }
                         }),
      RepliesBy("server_does_not_know_info", spec::kBaselineInfoGoServer, OptionType::kInfo,
                OptionReplyType::kErrUnsup),
      RepliesBy("server_does_not_know_go", spec::kSub<spec::kBaselineInfoGoServer, "go">, OptionType::kGo,
                OptionReplyType::kErrUnsup),
      TakesFor("server_takes_info_for_go", spec::kOptionInfoStaysInHaggling, OptionType::kInfo, OptionType::kGo),
      TakesFor("server_takes_go_for_info", spec::kOptionGoEntersTransmission, OptionType::kGo, OptionType::kInfo),
      AnswersOptionWrong("server_pads_after_go", spec::kOptionGoNoPad, OptionType::kGo,
                         [](const Option&, std::vector<ServerMessage>& said) {
                           said.emplace_back(engine::RawBytes{.bytes = engine::Bytes(engine::kExportNamePadBytes)});
                         }),
      AnswersOptionWrong("server_closes_after_refused_go", spec::kOptionGoErrorStaysInHaggling, OptionType::kGo,
                         [](const Option&, std::vector<ServerMessage>& said) {
                           if (IsRefused(said)) {
                             said.emplace_back(HardDisconnect{});
                           }
                         }),
  };
}

std::vector<Fault> InformationFaults() {
  return {
      Withholds("server_informs_without_export", spec::kOptionInfoAckNeedsExport, OptionType::kInfo, InfoType::kExport),
      Withholds("server_goes_without_export", spec::kSub<spec::kOptionInfoAckNeedsExport, "go">, OptionType::kGo,
                InfoType::kExport),
      InformsWrong("server_goes_with_other_size", spec::kOptionGoSameAsInfo, OptionType::kGo, InfoType::kExport,
                   [](engine::Bytes& payload) { payload[6] ^= 1; }),
      InformsWrong("server_goes_with_other_flags", spec::kOptionGoSameAsInfo, OptionType::kGo, InfoType::kExport,
                   [](engine::Bytes& payload) { payload[11] ^= engine::TransmissionFlag::kSendFua; }),
      Withholds("server_goes_without_name", spec::kOptionGoSameAsInfo, OptionType::kGo, InfoType::kName),
      AnswersOptionWrong("server_informs_twice", spec::kRepInfoOnce, OptionType::kInfo,
                         [](const Option&, std::vector<ServerMessage>& said) {
                           if (IsAck(said.back())) {
                             said.insert(said.begin(), ServerMessage(said.front()));
                           }
                         }),
      InformsWrong("server_sends_longer_info_export", spec::kRepInfoExportLength, OptionType::kGo, InfoType::kExport,
                   [](engine::Bytes& payload) { payload.push_back(0); }),
      InformsWrong("server_sends_shorter_info_export", spec::kRepInfoExportLength, OptionType::kGo, InfoType::kExport,
                   [](engine::Bytes& payload) { payload.resize(10); }),
      InformsWrong("server_sends_name_without_type", spec::kRepInfoNameLength, OptionType::kGo, InfoType::kName,
                   [](engine::Bytes& payload) { payload.resize(1); }),
      InformsWrong("server_sends_description_without_type", spec::kRepInfoDescriptionLength, OptionType::kGo,
                   InfoType::kDescription, [](engine::Bytes& payload) { payload.clear(); }),
      InformsWrong("server_sends_two_block_sizes", spec::kRepInfoBlockSizeLength, OptionType::kGo, InfoType::kBlockSize,
                   [](engine::Bytes& payload) { payload.resize(10); }),
      InformsWrong("server_names_what_it_does_not_list", spec::kRepInfoNameMatchesList, OptionType::kInfo,
                   InfoType::kName, [](engine::Bytes& payload) { payload.push_back('x'); }),
      RepliesWrong("server_describes_in_two_ways", spec::kRepInfoDescriptionMatchesList, OptionType::kList,
                   [](const Option&, OptionReply& reply) {
                     if (reply.type == OptionReplyType::kServer) {
                       reply.payload.insert(reply.payload.end(), {'d', 'i', 's', 'k'});
                     }
                   }),
  };
}

}  // namespace

std::vector<Fault> InfoFaults() {
  std::vector<Fault> faults = QueryFaults();
  std::ranges::move(InformationFaults(), std::back_inserter(faults));
  return faults;
}

}  // namespace nbdspec::conformance
