// SPDX-License-Identifier: BSD-3-Clause
// What the reference client does in transmission: copies, and maps. Private to this folder.

#pragma once

#include <vector>

#include "engine/client/connection.h"

namespace nbdspec::engine {

// Whether these transmission flags offer it, or the client does not care.
bool Offers(const ClientConnection& on, std::uint16_t transmission_flag);

// The requests that its conduct has before the job.
OrGivesUp<void> SendFirstRequests(Connections& connections);

OrGivesUp<Bytes> CopyOut(Connections& connections);
OrGivesUp<void> CopyIn(Connections& connections, ByteView bytes);
OrGivesUp<void> FlushExport(Connections& connections);
OrGivesUp<std::vector<ClientExtent>> MapExport(ClientConnection& on);

}  // namespace nbdspec::engine
