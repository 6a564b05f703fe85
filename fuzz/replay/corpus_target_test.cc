// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/replay/corpus_target.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>

#include "engine/script/script.h"

namespace nbdspec::fuzz {
namespace {

engine::Bytes BytesOf(std::string_view text) { return {text.begin(), text.end()}; }

TEST(CorpusTarget, EachFolderOfTheCorpusHasOneAndEachHasAFolder) {
  std::set<std::string> folders;
  for (const char* room : {"corpus/seeds", "corpus/regressions"}) {
    for (const auto& entry : std::filesystem::directory_iterator(room)) {
      folders.insert(entry.path().filename().string());
    }
  }
  EXPECT_EQ(folders.erase(std::string(kLiveFolder)), 1U);
  std::set<std::string> names;
  for (const CorpusTarget& target : CorpusTargets()) {
    EXPECT_TRUE(names.insert(std::string(target.name)).second) << target.name;
    const int ways = (target.find_in_bytes != nullptr ? 1 : 0) + (target.find_in_script != nullptr ? 1 : 0) +
                     (target.elsewhere.empty() ? 0 : 1);
    EXPECT_EQ(ways, 1) << target.name;
  }
  EXPECT_EQ(names, folders);
}

TEST(CorpusTarget, AFileBelongsToTheFolderItIsIn) {
  EXPECT_EQ(CorpusFolderOf("/x/corpus/regressions/wire_decode/a"), "wire_decode");
  EXPECT_EQ(CorpusFolderOf("corpus/seeds//c_api/a"), "c_api");
  EXPECT_EQ(CorpusFolderOf("seeds/c_api/a"), "c_api");
  for (const char* path : {"", "/", "a", "seeds/a", "corpus/scripts/x/a", "seeds/c_api/below/a", "c_api/a"}) {
    EXPECT_EQ(CorpusFolderOf(path), "") << path;
  }
}

TEST(CorpusTarget, TextThatDoesNotParseIsNoBytes) {
  for (const char* name : {"extent_map", "block_status_exchange", "script_shrink", "nbdkit_extents"}) {
    const auto ran = RunCorpusTarget(*CorpusTargetNamed(name), BytesOf("# nbdspec script\nsize 64\nadd 0 1\n"));
    ASSERT_FALSE(ran) << name;
    EXPECT_NE(ran.error().sentence.find("line 3"), std::string::npos) << ran.error().sentence;
  }
  // To script_text any text is an input.
  EXPECT_TRUE(RunCorpusTarget(*CorpusTargetNamed("script_text"), BytesOf("# nbdspec script\nsize 64\nadd 0 1\n")));
}

TEST(CorpusTarget, EveryTargetTakesAnyBytes) {
  for (const CorpusTarget& target : CorpusTargets()) {
    for (const std::size_t count : {0U, 1U, 40U, 300U}) {
      if (target.elsewhere.empty() && target.name != "nbdkit_extents") {
        const auto ran = RunCorpusTarget(target, engine::Bytes(count, 0x5a));
        ASSERT_TRUE(ran) << target.name << ": " << ran.error().sentence;
        EXPECT_FALSE(*ran) << target.name << " accuses what is right: " << (*ran)->where;
      }
    }
  }
}

}  // namespace
}  // namespace nbdspec::fuzz
