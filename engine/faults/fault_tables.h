// SPDX-License-Identifier: BSD-3-Clause
// The tables of the catalogue: EACH(Handshake) stands for HandshakeFaults(). Each is in the file of its kind.

#pragma once

#include <vector>

#include "engine/faults/fault.h"

#define NBDSPEC_FAULT_TABLES(EACH) \
  EACH(Handshake)                  \
  EACH(OptionReply)                \
  EACH(List)                       \
  EACH(Starttls)                   \
  EACH(ExportName)                 \
  EACH(Text)                       \
  EACH(InfoQuery)                  \
  EACH(Information)                \
  EACH(BlockLimit)                 \
  EACH(BlockSize)                  \
  EACH(ContextQuery)               \
  EACH(ContextMatch)               \
  EACH(ContextName)                \
  EACH(Selection)                  \
  EACH(StatusChunk)                \
  EACH(Descriptor)                 \
  EACH(ZeroClaim)                  \
  EACH(Border)                     \
  EACH(Reply)                      \
  EACH(ErrorCode)                  \
  EACH(ErrorChunk)                 \
  EACH(Chunk)                      \
  EACH(ReadForm)                   \
  EACH(ReadData)                   \
  EACH(WriteData)                  \
  EACH(Zeroing)

namespace nbdspec::engine::faults {

#define NBDSPEC_DECLARE(table) std::vector<Fault> table##Faults();
NBDSPEC_FAULT_TABLES(NBDSPEC_DECLARE)
#undef NBDSPEC_DECLARE

}  // namespace nbdspec::engine::faults
