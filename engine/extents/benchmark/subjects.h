// SPDX-License-Identifier: BSD-3-Clause
// Everything that is measured: ExtentMap and what one could pick instead.

#pragma once

#include <string_view>
#include <tuple>

#include "engine/extents/benchmark/append_only_subject.h"
#include "engine/extents/benchmark/extent_map_subject.h"
#include "engine/extents/benchmark/interval_map_subjects.h"
#include "engine/extents/benchmark/ordered_map_subjects.h"
#include "engine/extents/benchmark/roaring_subject.h"
#include "engine/extents/benchmark/sorted_vector_subject.h"

namespace nbdspec::engine::speed {

// Calls `visit.operator()<Subject>()` for each of them.
template <typename Visit>
void ForEachSubject(Visit visit) {
  visit.template operator()<ExtentMapSubject>();
  visit.template operator()<LlvmSubject>();
  visit.template operator()<AbslBtreeSubject>();
  visit.template operator()<StdMapSubject>();
  visit.template operator()<IclSubject>();
  visit.template operator()<SortedVectorSubject>();
  visit.template operator()<RoaringSubject>();
  visit.template operator()<AppendOnlySubject>();
}

}  // namespace nbdspec::engine::speed
