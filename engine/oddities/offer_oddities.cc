// SPDX-License-Identifier: BSD-3-Clause
// Oddities of what a server offers: less than everything, and limits that few have.
#include "engine/oddities/oddity_tables.h"

namespace nbdspec::engine::oddities {

namespace {

Oddity Export(std::string_view name, std::string_view permitted_by, std::function<void(ExportOptions&)> offers) {
  return {.name = name, .permitted_by = permitted_by, .offers = std::move(offers)};
}

// Offers all but `flags`.
Oddity Without(std::string_view name, std::uint16_t flags, std::string_view permitted_by = kEflagsSupportedMaySet) {
  return Export(name, permitted_by, [flags](ExportOptions& of) { of.flags &= static_cast<std::uint16_t>(~flags); });
}

Oddity WithBlocks(std::string_view name, std::string_view permitted_by, InfoBlockSize block_size) {
  return Export(name, permitted_by, [block_size](ExportOptions& of) { of.block_size = block_size; });
}

Oddity Server(std::string_view name, std::string_view permitted_by, std::function<void(ServerOptions&)> server) {
  return {.name = name, .permitted_by = permitted_by, .server = std::move(server)};
}

Oddity WithTls(std::string_view name, std::string_view permitted_by, std::function<void(TlsConduct&)> conduct) {
  return {.name = name, .permitted_by = permitted_by, .change = {.tls = std::move(conduct)}};
}

using Flag = TransmissionFlag;

}  // namespace

std::vector<Oddity> OfferOddities() {
  return {
      Server("server_has_no_structured_replies", kBaselineOptional,
             [](ServerOptions& server) { server.structured_replies = false; }),
      Server("server_has_no_extended_headers", kBaselineOptional,
             [](ServerOptions& server) { server.extended_headers = false; }),
      Server("server_always_pads", kBaselineOptional,
             [](ServerOptions& server) { server.handshake_flags = HandshakeFlag::kFixedNewstyle; }),
      Without("server_has_no_flush", Flag::kSendFlush),
      Without("server_has_no_fua", Flag::kSendFua),
      Without("server_has_neither_flush_nor_fua", Flag::kSendFlush | Flag::kSendFua),
      Without("server_has_no_trim", Flag::kSendTrim),
      Without("server_has_no_write_zeroes", Flag::kSendWriteZeroes | Flag::kSendFastZero),
      Without("server_has_no_fast_zero", Flag::kSendFastZero),
      Without("server_has_no_df", Flag::kSendDf),
      Without("server_has_no_cache", Flag::kSendCache),
      Without("server_is_for_one_connection", Flag::kCanMultiConn),
      Without("server_has_no_status_payloads", Flag::kBlockStatusPayload),
      Without("server_reads_and_writes_only", static_cast<std::uint16_t>(~Flag::kHasFlags), kBaselineOptional),
      Export("server_is_rotational", kEflagsRotationalMay, [](ExportOptions& of) { of.flags |= Flag::kRotational; }),
      Export("server_can_resize", kEflagsResizeExperimental, [](ExportOptions& of) { of.flags |= Flag::kSendResize; }),
      Export("server_has_no_allocation", kBaselineOptional, [](ExportOptions& of) { of.base_allocation = false; }),
      Export("server_is_read_only", kEflagsReadOnlyMay, [](ExportOptions& of) { of.read_only = true; }),
      Export("server_describes_nothing", kOptionInfoPolicyOmit, [](ExportOptions& of) { of.description.clear(); }),
      Export("server_has_long_description", kOptionInfoAnyOrder,
             [](ExportOptions& of) { of.description = std::string(kStringBytesMax, 'd'); }),
      WithBlocks("server_serves_bytes", kBlockSizeMinMayBe1, {.minimum = 1, .preferred = 512}),
      WithBlocks("server_serves_sectors", kBaselineOptional, {.minimum = 512, .preferred = 4096}),
      WithBlocks("server_serves_blocks_of_64_kib", kBaselineOptional, {.minimum = 1 << 16, .preferred = 1 << 16}),
      WithBlocks("server_prefers_more_than_it_has", kBlockSizePreferredAboveExport,
                 {.minimum = 1, .preferred = 1 << 24}),
      WithBlocks("server_has_odd_maximum", kBlockSizeMaxAnyValue,
                 {.minimum = 1, .preferred = 4096, .maximum = 3000001}),
      WithBlocks("server_has_small_maximum", kBlockSizeMaxAnyValue,
                 {.minimum = 1, .preferred = 4096, .maximum = 1 << 16}),
      WithBlocks("server_has_no_maximum", kBlockSizeMaxUnlimited,
                 {.minimum = 1, .preferred = 4096, .maximum = 0xffffffff}),
      WithTls("server_lets_anybody_in", kTlsModePerSession,
              [](TlsConduct& conduct) { conduct.demands_certificate = false; }),
      WithTls("server_speaks_tls_1_2_only", kTlsVersion12Server,
              [](TlsConduct& conduct) { conduct.speaks_1_3 = false; }),
      WithTls("server_speaks_tls_1_1_too", kTlsVersionOlderMayServer,
              [](TlsConduct& conduct) { conduct.speaks_1_1 = true; }),
  };
}

}  // namespace nbdspec::engine::oddities
