// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/canary/mutant_c_api.h"

#include <cerrno>
#include <cstdint>

#include "engine/extents/failing_new.h"

namespace nbdspec::fuzz {
namespace {

CApiBug planted = CApiBug::kNone;
bool is_locked = false;  // kForeachThatFailsLocksTheMap.
int walks = 0;

struct {
  nbdspec_extents_error_callback callback = nullptr;
  void* opaque = nullptr;
} listener;

// Between the library and the listener.
void PassErrorOn(int error, const char* message, void* /*opaque*/) {
  listener.callback(error, planted == CApiBug::kErrorsAreToldWithoutASentence ? "" : message, listener.opaque);
  if (planted == CApiBug::kErrorsAreToldTwice) {
    listener.callback(error, message, listener.opaque);
  }
}

int Fail(int error) {
  if (listener.callback != nullptr) {
    listener.callback(error, "planted", listener.opaque);
  }
  errno = error;
  return -1;
}

void SetErrorCallback(nbdspec_extents_error_callback callback, void* opaque) {
  listener = {.callback = callback, .opaque = opaque};
  nbdspec_extents_set_error_callback(callback == nullptr ? nullptr : PassErrorOn, nullptr);
}

nbdspec_extents_map* NewOfType(std::uint64_t size, std::uint32_t initial) {
  is_locked = false;
  if (planted == CApiBug::kNewRefusesTheLargestSize && size == NBDSPEC_EXTENTS_SIZE_MAX) {
    Fail(ERANGE);
    return nullptr;
  }
  if (planted == CApiBug::kNewCutsTheSizeTheLargestAllows) {
    size &= NBDSPEC_EXTENTS_SIZE_MAX;
  }
  if (planted == CApiBug::kNewOfTypeForgetsTheHoleBit && initial <= 3) {
    initial &= NBDSPEC_EXTENT_TYPE_ZERO;
  }
  nbdspec_extents_map* made = nbdspec_extents_new_of_type(size, initial);
  if (made == nullptr && errno == ENOMEM && planted == CApiBug::kNewWithoutMemorySaysEinval) {
    errno = EINVAL;
  }
  return made;
}

nbdspec_extents_map* New(std::uint64_t size) {
  return planted == CApiBug::kNewOfTypeForgetsTheHoleBit
             ? nbdspec_extents_new(size)
             : NewOfType(size, planted == CApiBug::kNewIsData ? NBDSPEC_EXTENT_TYPE_DATA : NBDSPEC_EXTENT_TYPE_HOLE);
}

void Free(nbdspec_extents_map* map) {
  if (planted != CApiBug::kFreeKeepsTheMap) {
    nbdspec_extents_free(map);
  }
}

int Clear(nbdspec_extents_map* map) {
  switch (planted) {
    case CApiBug::kClearOfNullSucceeds:
      return map == nullptr ? 0 : nbdspec_extents_clear(map);
    case CApiBug::kClearMakesAHole:
      return nbdspec_extents_clear(map) == -1
                 ? -1
                 : nbdspec_extent_add(map, 0, NBDSPEC_EXTENTS_SIZE_MAX, NBDSPEC_EXTENT_TYPE_HOLE);
    case CApiBug::kClearNeedsMemory:
      try {
        operator delete(operator new(1));
      } catch (...) {
        return Fail(ENOMEM);
      }
      break;
    default:
      break;
  }
  return nbdspec_extents_clear(map);
}

// What add does wrong once it has failed.
int FailAdd(nbdspec_extents_map* map, std::uint64_t offset, std::uint64_t length, std::uint32_t type) {
  const int error = errno;
  engine::AllowAllocations(engine::kUnlimited);  // The bugs themselves have memory enough.
  switch (planted) {
    case CApiBug::kAddLosesErrno:
      errno = 0;
      return -1;
    case CApiBug::kAddMasksUnknownTypes:
      return error == EINVAL ? nbdspec_extent_add(map, offset, length, type & 3) : -1;
    case CApiBug::kAddThatWrapsGoesToTheEnd:
      return error == ERANGE ? nbdspec_extent_add(map, offset, ~offset, type) : -1;
    case CApiBug::kAddWithoutMemorySucceeds:
      return error == ENOMEM ? 0 : -1;
    case CApiBug::kAddWithoutMemoryClears:
      if (error == ENOMEM) {
        (void)nbdspec_extents_clear(map);
      }
      break;
    case CApiBug::kAddWithoutMemoryAddsTheFirstHalf:
      if (error == ENOMEM) {
        (void)nbdspec_extent_add(map, offset, length / 2, type);
      }
      break;
    case CApiBug::kAddFreesTwiceOnError: {
      void* memory = operator new(1);
      operator delete(memory);
      operator delete(memory);  // Noted by failing_new, and not carried out.
      break;
    }
    case CApiBug::kAddLeaksOnError:
      (void)operator new(1);
      break;
    case CApiBug::kAddDuringForeachSucceeds:
      return error == EBUSY ? 0 : -1;
    case CApiBug::kErrorCallbackChangesErrno:
      errno = listener.callback != nullptr ? ENOTTY : error;
      return -1;
    default:
      break;
  }
  errno = error;
  return -1;
}

int Add(nbdspec_extents_map* map, std::uint64_t offset, std::uint64_t length, std::uint32_t type) {
  if (is_locked && walks == 0) {
    return Fail(EBUSY);
  }
  const std::uint32_t told = type;
  if (planted == CApiBug::kAddSwapsHoleAndZero && type <= 3) {
    type = (type >> 1) | (type << 1 & 2);
  } else if (planted == CApiBug::kAddCutsTheTypeTo8Bits) {
    type &= UINT8_MAX;
  } else if (planted == CApiBug::kAddOfLengthZeroChangesAByte && length == 0) {
    length = offset == UINT64_MAX ? 0 : 1;
  } else if (planted == CApiBug::kAddCutsTheLengthTo32Bits) {
    length = static_cast<std::uint32_t>(length);
  }
  return nbdspec_extent_add(map, offset, length, type) == 0 ? 0 : FailAdd(map, offset, length, told);
}

struct Walk {
  nbdspec_extents_callback fn;
  void* opaque;
  int result = 0;  // Of the call that failed.
};

int OnExtent(std::uint64_t offset, std::uint64_t length, std::uint32_t type, void* opaque) {
  Walk& walk = *static_cast<Walk*>(opaque);
  if (walk.result != 0) {  // One more call than there should be.
    const int error = errno;
    (void)walk.fn(offset, length, type, walk.opaque);
    errno = error;
    return walk.result;
  }
  const int result =
      walk.fn(offset, planted == CApiBug::kForeachCutsLengthsTo32Bits ? static_cast<std::uint32_t>(length) : length,
              type, walk.opaque);
  walk.result = result;
  if (planted == CApiBug::kForeachStopsAtNegativeResultsOnly && result > 0) {
    walk.result = 0;
    return 0;
  }
  return planted == CApiBug::kForeachStopsOneLate ? 0 : result;
}

int Foreach(const nbdspec_extents_map* map, nbdspec_extents_callback fn, void* opaque, std::uint32_t flags,
            std::uint64_t range_offset, std::uint64_t range_length) {
  Walk walk = {.fn = fn, .opaque = opaque};
  if (planted == CApiBug::kForeachUsesTheRangeWithoutItsFlag && flags == 0 && range_offset < UINT32_MAX) {
    flags = NBDSPEC_EXTENTS_FOREACH_FLAG_RANGE;
  } else if (planted == CApiBug::kForeachIgnoresUnknownFlags) {
    flags &= NBDSPEC_EXTENTS_FOREACH_FLAG_RANGE;
  } else if (planted == CApiBug::kForeachOfMinusOneIsALength && flags == 1 && range_length == UINT64_MAX &&
             range_offset > 0) {
    return Fail(ERANGE);
  } else if (planted == CApiBug::kForeachOfMinusOneLeavesOutTheLastByte && range_length == UINT64_MAX &&
             range_offset < NBDSPEC_EXTENTS_SIZE_MAX) {
    range_length = NBDSPEC_EXTENTS_SIZE_MAX - 1 - range_offset;
  }
  ++walks;
  const int result =
      nbdspec_extents_foreach(map, fn == nullptr ? nullptr : OnExtent, &walk, flags, range_offset, range_length);
  --walks;
  if (walk.result == 0) {
    return result;
  }
  const int error = errno;
  is_locked = planted == CApiBug::kForeachThatFailsLocksTheMap;
  if (planted == CApiBug::kFailuresOfTheCallbackAreTold && listener.callback != nullptr) {
    listener.callback(error, "planted", listener.opaque);
  }
  errno = planted == CApiBug::kForeachLosesErrno ? EIO : error;
  return planted == CApiBug::kForeachReturnsWhatTheCallbackDid ? walk.result : -1;
}

}  // namespace

CApi MakeMutantCApi(CApiBug bug) {
  planted = bug;
  is_locked = false;
  return {.new_hole = New,
          .new_of_type = NewOfType,
          .free = Free,
          .add = Add,
          .clear = Clear,
          .foreach = Foreach,
          .set_error_callback = SetErrorCallback};
}

}  // namespace nbdspec::fuzz
