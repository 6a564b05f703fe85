// SPDX-License-Identifier: BSD-3-Clause
#include "engine/extents/benchmark/subjects.h"

#include <gtest/gtest.h>

#include "engine/extents/benchmark/against_oracle.h"

namespace nbdspec::engine::speed {
namespace {

template <typename Subject>
class SubjectTest : public testing::Test {};

using Subjects = testing::Types<ExtentMapSubject, LlvmSubject, AbslBtreeSubject, StdMapSubject, IclSubject,
                                SortedVectorSubject, RoaringSubject, AppendOnlySubject>;
TYPED_TEST_SUITE(SubjectTest, Subjects);

TYPED_TEST(SubjectTest, AnswersAsTheOracle) { EXPECT_EQ(DifferenceFromOracle<TypeParam>(300), std::nullopt); }

// A subject that forgets the last byte of each add.
class WrongSubject : public ExtentMapSubject {
 public:
  using ExtentMapSubject::ExtentMapSubject;
  void Add(ByteRange range, ExtentType type) {
    --range.end;
    if (!range.empty()) {
      ExtentMapSubject::Add(range, type);
    }
  }
};

TEST(AgainstOracle, WrongAnswersAreFound) { EXPECT_NE(DifferenceFromOracle<WrongSubject>(1), std::nullopt); }

}  // namespace
}  // namespace nbdspec::engine::speed
