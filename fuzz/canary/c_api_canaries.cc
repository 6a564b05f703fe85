// SPDX-License-Identifier: BSD-3-Clause
// The planted bugs of the target c_api: the C functions of the extents map, wrong in one named way each. What a bug
// does not concern is the right function. One bug at a time: the functions have no state that could hold it.

#include <cerrno>
#include <cstdint>

#include "engine/base/bytes.h"
#include "engine/extents/failing_new.h"
#include "fuzz/canary/canary.h"
#include "fuzz/comparisons/c_api_differential.h"

namespace nbdspec::fuzz {
namespace {

Bug planted = kNoBug;
bool is_locked = false;  // kForeachThatFailsLocksTheMap.
int walks = 0;

struct {
  nbdspec_extents_error_callback callback = nullptr;
  void* opaque = nullptr;
} listener;

// Between the library and the listener.
void PassErrorOn(int error, const char* message, void* /*opaque*/) {
  listener.callback(error, planted == "ErrorsAreToldWithoutASentence"_bug ? "" : message, listener.opaque);
  if (planted == "ErrorsAreToldTwice"_bug) {
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
  if (planted == "NewRefusesTheLargestSize"_bug && size == NBDSPEC_EXTENTS_SIZE_MAX) {
    Fail(ERANGE);
    return nullptr;
  }
  if (planted == "NewCutsTheSizeTheLargestAllows"_bug) {
    size &= NBDSPEC_EXTENTS_SIZE_MAX;
  }
  if (planted == "NewOfTypeForgetsTheHoleBit"_bug && initial <= 3) {
    initial &= NBDSPEC_EXTENT_TYPE_ZERO;
  }
  nbdspec_extents_map* made = nbdspec_extents_new_of_type(size, initial);
  if (made == nullptr && errno == ENOMEM && planted == "NewWithoutMemorySaysEinval"_bug) {
    errno = EINVAL;
  }
  return made;
}

nbdspec_extents_map* New(std::uint64_t size) {
  return planted == "NewOfTypeForgetsTheHoleBit"_bug
             ? nbdspec_extents_new(size)
             : NewOfType(size, planted == "NewIsData"_bug ? NBDSPEC_EXTENT_TYPE_DATA : NBDSPEC_EXTENT_TYPE_HOLE);
}

void Free(nbdspec_extents_map* map) {
  if (planted != "FreeKeepsTheMap"_bug) {
    nbdspec_extents_free(map);
  }
}

int Clear(nbdspec_extents_map* map) {
  switch (planted) {
    case "ClearOfNullSucceeds"_bug:
      return map == nullptr ? 0 : nbdspec_extents_clear(map);
    case "ClearMakesAHole"_bug:
      return nbdspec_extents_clear(map) == -1
                 ? -1
                 : nbdspec_extent_add(map, 0, NBDSPEC_EXTENTS_SIZE_MAX, NBDSPEC_EXTENT_TYPE_HOLE);
    case "ClearNeedsMemory"_bug:
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
    case "AddLosesErrno"_bug:
      errno = 0;
      return -1;
    case "AddMasksUnknownTypes"_bug:
      return error == EINVAL ? nbdspec_extent_add(map, offset, length, type & 3) : -1;
    case "AddThatWrapsGoesToTheEnd"_bug:
      return error == ERANGE ? nbdspec_extent_add(map, offset, ~offset, type) : -1;
    case "AddWithoutMemorySucceeds"_bug:
      return error == ENOMEM ? 0 : -1;
    case "AddWithoutMemoryClears"_bug:
      if (error == ENOMEM) {
        (void)nbdspec_extents_clear(map);
      }
      break;
    case "AddWithoutMemoryAddsTheFirstHalf"_bug:
      if (error == ENOMEM) {
        (void)nbdspec_extent_add(map, offset, length / 2, type);
      }
      break;
    case "AddFreesTwiceOnError"_bug: {
      void* memory = operator new(1);
      operator delete(memory);
      operator delete(memory);  // Noted by failing_new, and not carried out.
      break;
    }
    case "AddLeaksOnError"_bug:
      (void)operator new(1);
      break;
    case "AddDuringForeachSucceeds"_bug:
      return error == EBUSY ? 0 : -1;
    case "ErrorCallbackChangesErrno"_bug:
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
  if (planted == "AddSwapsHoleAndZero"_bug && type <= 3) {
    type = (type >> 1) | (type << 1 & 2);
  } else if (planted == "AddCutsTheTypeTo8Bits"_bug) {
    type &= UINT8_MAX;
  } else if (planted == "AddOfLengthZeroChangesAByte"_bug && length == 0) {
    length = offset == UINT64_MAX ? 0 : 1;
  } else if (planted == "AddCutsTheLengthTo32Bits"_bug) {
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
      walk.fn(offset, planted == "ForeachCutsLengthsTo32Bits"_bug ? static_cast<std::uint32_t>(length) : length, type,
              walk.opaque);
  walk.result = result;
  if (planted == "ForeachStopsAtNegativeResultsOnly"_bug && result > 0) {
    walk.result = 0;
    return 0;
  }
  return planted == "ForeachStopsOneLate"_bug ? 0 : result;
}

int Foreach(const nbdspec_extents_map* map, nbdspec_extents_callback fn, void* opaque, std::uint32_t flags,
            std::uint64_t range_offset, std::uint64_t range_length) {
  Walk walk = {.fn = fn, .opaque = opaque};
  if (planted == "ForeachUsesTheRangeWithoutItsFlag"_bug && flags == 0 && range_offset < UINT32_MAX) {
    flags = NBDSPEC_EXTENTS_FOREACH_FLAG_RANGE;
  } else if (planted == "ForeachIgnoresUnknownFlags"_bug) {
    flags &= NBDSPEC_EXTENTS_FOREACH_FLAG_RANGE;
  } else if (planted == "ForeachOfMinusOneIsALength"_bug && flags == 1 && range_length == UINT64_MAX &&
             range_offset > 0) {
    return Fail(ERANGE);
  } else if (planted == "ForeachOfMinusOneLeavesOutTheLastByte"_bug && range_length == UINT64_MAX &&
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
  is_locked = planted == "ForeachThatFailsLocksTheMap"_bug;
  if (planted == "FailuresOfTheCallbackAreTold"_bug && listener.callback != nullptr) {
    listener.callback(error, "planted", listener.opaque);
  }
  errno = planted == "ForeachLosesErrno"_bug ? EIO : error;
  return planted == "ForeachReturnsWhatTheCallbackDid"_bug ? walk.result : -1;
}

CApi MakeMutantCApi(Bug bug) {
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

constexpr NamedBug kPlantedBugs[] = {
    {"NewIsData", Family::kBits, 100},
    {"NewOfTypeForgetsTheHoleBit", Family::kBits, 100},
    {"NewRefusesTheLargestSize", Family::kError, 100},
    {"NewCutsTheSizeTheLargestAllows", Family::kRule, 250},
    {"NewWithoutMemorySaysEinval", Family::kMemory, 100},
    {"FreeKeepsTheMap", Family::kStale, 100},
    {"ClearOfNullSucceeds", Family::kRule, 100},
    {"ClearMakesAHole", Family::kBits, 100},
    {"ClearNeedsMemory", Family::kMemory, 100},
    {"AddLosesErrno", Family::kError, 100},
    {"AddSwapsHoleAndZero", Family::kOrder, 100},
    {"AddMasksUnknownTypes", Family::kBits, 100},
    {"AddCutsTheTypeTo8Bits", Family::kWidth, 100},
    {"AddOfLengthZeroChangesAByte", Family::kEdge, 300},
    {"AddCutsTheLengthTo32Bits", Family::kWidth, 100},
    {"AddThatWrapsGoesToTheEnd", Family::kClip, 100},
    {"AddWithoutMemorySucceeds", Family::kMemory, 1500},
    {"AddWithoutMemoryClears", Family::kMemory, 1500},
    {"AddWithoutMemoryAddsTheFirstHalf", Family::kMemory, 1500},
    {"AddFreesTwiceOnError", Family::kMemory, 100},
    {"AddLeaksOnError", Family::kMemory, 100},
    {"AddDuringForeachSucceeds", Family::kRule, 100},
    {"ForeachLosesErrno", Family::kError, 100},
    {"ForeachReturnsWhatTheCallbackDid", Family::kRule, 100},
    {"ForeachStopsOneLate", Family::kEdge, 100},
    {"ForeachStopsAtNegativeResultsOnly", Family::kRule, 100},
    {"ForeachUsesTheRangeWithoutItsFlag", Family::kBits, 100},
    {"ForeachIgnoresUnknownFlags", Family::kBits, 100},
    {"ForeachOfMinusOneLeavesOutTheLastByte", Family::kEdge, 3000},
    {"ForeachOfMinusOneIsALength", Family::kEdge, 100},
    {"ForeachCutsLengthsTo32Bits", Family::kWidth, 100},
    {"ForeachThatFailsLocksTheMap", Family::kStale, 100},
    {"ErrorsAreToldTwice", Family::kError, 100},
    {"ErrorsAreToldWithoutASentence", Family::kError, 100},
    {"ErrorCallbackChangesErrno", Family::kError, 100},
    {"FailuresOfTheCallbackAreTold", Family::kError, 100},
};

Found FindWith(engine::ByteView input, const Bug& bug) { return FindCApiDisagreement(input, MakeMutantCApi(bug)); }

}  // namespace

CanaryTarget CApiCanaries() {
  CanaryTarget target = CanariesFor(CApiTarget(), CanariesOf(kPlantedBugs, FindWith));
  target.right.push_back([](engine::ByteView input) { return FindWith(input, kNoBug); });
  return target;
}

}  // namespace nbdspec::fuzz
