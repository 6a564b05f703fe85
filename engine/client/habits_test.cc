// SPDX-License-Identifier: BSD-3-Clause
// Each habit is right: the job is done and no rule broken; and it is one: the wire shows another client.
#include "engine/client/habits.h"

#include <gtest/gtest.h>

#include "engine/client/testdata/play.h"
#include "engine/spec/catalogue.h"

namespace nbdspec::engine {
namespace {

TEST(Habits, AreNamedOnceAndPermitted) {
  std::set<std::string_view> names;
  for (const ClientHabit& habit : AllHabits()) {
    EXPECT_TRUE(habit.name.starts_with("client_")) << habit.name;
    EXPECT_TRUE(names.insert(habit.name).second) << habit.name;
    EXPECT_NE(spec::TheCatalogue().Find(habit.permitted_by), nullptr) << habit.name;
    for (const std::string_view id : habit.warnings) {
      EXPECT_EQ(spec::SeverityOf(spec::RequirementOf(id), spec::Role::kClient), spec::Severity::kWarning) << id;
    }
  }
  EXPECT_GE(names.size(), 34U);
}

TEST(Habits, AreRight) {
  for (const ClientHabit& habit : AllHabits()) {
    SCOPED_TRACE(habit.name);
    const Played played = Play(habit.conduct, habit.stage);
    EXPECT_TRUE(played.result.succeeded) << played.result.why;
    EXPECT_TRUE(played.has_right_bytes);
    EXPECT_TRUE(played.has_true_map);
    EXPECT_EQ(played.violated, std::set(habit.warnings.begin(), habit.warnings.end())) << played.said;
  }
}

TEST(Habits, Show) {
  for (const ClientHabit& habit : AllHabits()) {
    const Played usual = Play({}, habit.stage);
    const Played played = Play(habit.conduct, habit.stage);
    EXPECT_TRUE(played.said != usual.said || played.call_count != usual.call_count) << habit.name;
  }
}

}  // namespace
}  // namespace nbdspec::engine
