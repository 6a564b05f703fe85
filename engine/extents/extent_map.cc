// SPDX-License-Identifier: BSD-3-Clause
#include "engine/extents/extent_map.h"

#include "engine/extents/boundary_tree_impl.h"

namespace nbdspec::engine {

template class BoundaryLeaf<CacheLineShape>;
template class BoundaryTree<CacheLineShape>;
template class ShapedExtentMap<CacheLineShape>;

}  // namespace nbdspec::engine
