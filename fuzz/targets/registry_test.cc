// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/targets/registry.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

namespace nbdspec::fuzz {
namespace {

TEST(FuzzTargets, EachHasAFolderOfTheCorpusAndEachFolderATarget) {
  std::set<std::string> folders;
  for (const char* room : {"corpus/seeds", "corpus/regressions"}) {
    for (const auto& entry : std::filesystem::directory_iterator(room)) {
      folders.insert(entry.path().filename().string());
    }
  }
  EXPECT_EQ(folders.erase("live"), 1U);  // Its scripts are for servers: `nbdspec replay` runs them.
  std::set<std::string> names = {std::string(NbdkitExtents().name)};
  for (const FuzzTarget& target : FuzzTargets()) {
    EXPECT_TRUE(names.insert(std::string(target.name)).second) << target.name;
    EXPECT_NE(target.find_in_bytes != nullptr, target.find_in_script != nullptr) << target.name;
    EXPECT_EQ(target.find_in_script != nullptr, target.inputs.script.has_value()) << target.name;
    EXPECT_EQ(TargetNamed(target.name), &target);
    EXPECT_TRUE(target.dictionary.empty() || std::filesystem::exists("fuzz/targets/" + std::string(target.dictionary)));
  }
  EXPECT_EQ(names, folders);
  EXPECT_EQ(TargetNamed("no_target"), nullptr);
}

TEST(FuzzTargets, EachTakesAnyBytes) {
  for (const FuzzTarget& target : FuzzTargets()) {
    for (const std::size_t count : {0U, 1U, 40U, 300U}) {
      const auto found = Find(target, engine::Bytes(count, 0x5a));
      EXPECT_FALSE(found) << target.name << " accuses what is right: " << found->where;
    }
  }
}

TEST(FuzzTargets, ATextThatIsNoCaseForNbdkitDisagrees) {
  const std::string text = "# nbdspec script\nsize 64\nadd 0 1\n";
  const auto found = Find(NbdkitExtents(), engine::Bytes(text.begin(), text.end()));
  ASSERT_TRUE(found);
  EXPECT_NE(found->saw.find("line 3"), std::string::npos) << found->saw;
}

TEST(FuzzTargets, TheTableOfTheDocumentationIsTheirs) {
  std::ifstream file("docs/howto/add_a_fuzz_target.md");
  const std::string page{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  EXPECT_NE(page.find("\n\n" + TableOfTargets() + "\n"), std::string::npos)
      << "the table is stale: tools/refresh writes it";
}

}  // namespace
}  // namespace nbdspec::fuzz
