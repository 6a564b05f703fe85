// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/learn/script_corpus.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

namespace nbdspec::fuzz {
namespace {

namespace fs = std::filesystem;

std::string Fresh(const std::string& name) {
  std::string path = testing::TempDir() + "/corpus-" + name;
  fs::remove_all(path);
  return path;
}

void Write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

engine::Script AScript(std::uint64_t offset) {
  return {.size = 1 << 20, .steps = {engine::RequestStep{.offset = offset, .length = 512}}};
}

std::vector<std::string> NamesIn(const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& each : fs::directory_iterator(directory)) {
    names.push_back(each.path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

TEST(ScriptCorpus, WhatIsAddedIsReadTheNextTime) {
  const std::string directory = Fresh("again");
  auto corpus = ScriptCorpus::Open(directory);
  ASSERT_TRUE(corpus) << corpus.error().sentence;
  EXPECT_TRUE(corpus->scripts().empty());
  ASSERT_TRUE(corpus->Add(AScript(0)));
  ASSERT_TRUE(corpus->Add(AScript(512)));
  ASSERT_TRUE(corpus->Add(AScript(0)));
  EXPECT_EQ(corpus->added_count(), 2U);
  const auto again = ScriptCorpus::Open(directory);
  ASSERT_TRUE(again);
  ASSERT_EQ(again->scripts().size(), 2U);
  EXPECT_TRUE(std::ranges::count(again->scripts(), AScript(0)) == 1);
  EXPECT_TRUE(std::ranges::count(again->scripts(), AScript(512)) == 1);
}

TEST(ScriptCorpus, ANameIsOfTheContent) {
  const std::string directory = Fresh("name");
  auto corpus = ScriptCorpus::Open(directory).value();
  ASSERT_TRUE(corpus.Add(AScript(0)));
  const std::vector<std::string> names = NamesIn(directory);
  ASSERT_EQ(names.size(), 1U);
  EXPECT_EQ(names[0], NameInCorpus(Print(AScript(0))));
  EXPECT_EQ(names[0].size(), 32U + std::string(".script").size());
  EXPECT_NE(names[0], NameInCorpus(Print(AScript(512))));
}

// As many at once as there may be machines: every script is there once, and whole.
TEST(ScriptCorpus, SeveralMayAddToOneDirectory) {
  const std::string directory = Fresh("shared");
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      auto corpus = ScriptCorpus::Open(directory).value();
      for (std::uint64_t offset = 0; offset < 50; ++offset) {
        EXPECT_TRUE(corpus.Add(AScript(offset)));
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(NamesIn(directory).size(), 50U);
  EXPECT_EQ(ScriptCorpus::Open(directory).value().scripts().size(), 50U);
}

TEST(ScriptCorpus, WhatIsNoScriptIsNamed) {
  struct Row {
    const char* name;
    std::string text;
    const char* says;
  };
  for (const Row& row : {Row{"a.script", "size 1M\nraed 0 +512\n", "line 2"}, Row{"b", "", "b\""},
                         Row{"c.bin", std::string("\x00\x01\x1b[2J", 6), "c.bin"},
                         Row{"d", "size 1M\n" + std::string(2 << 20, '#') + "\n", "more than 1048576 bytes"}}) {
    const std::string directory = Fresh("bad");
    fs::create_directories(directory);
    Write(directory + "/" + row.name, row.text);
    const auto corpus = ScriptCorpus::Open(directory);
    ASSERT_FALSE(corpus) << row.name;
    EXPECT_TRUE(corpus.error().sentence.contains(row.name)) << corpus.error().sentence;
    EXPECT_TRUE(corpus.error().sentence.contains(row.says)) << corpus.error().sentence;
    EXPECT_FALSE(corpus.error().sentence.contains('\x1b'));
  }
}

TEST(ScriptCorpus, APipeIsNotReadAndADirectoryIsNoScript) {
  const std::string directory = Fresh("pipe");
  fs::create_directories(directory);
  ASSERT_EQ(::mkfifo((directory + "/pipe").c_str(), 0600), 0);
  EXPECT_FALSE(ScriptCorpus::Open(directory));
  fs::remove(directory + "/pipe");
  fs::create_directories(directory + "/inner");
  EXPECT_FALSE(ScriptCorpus::Open(directory));
}

TEST(ScriptCorpus, WhatAKillLeftIsNoScriptAndGoes) {
  const std::string directory = Fresh("killed");
  fs::create_directories(directory);
  const std::string fresh = directory + "/.x.script.1-2-3.writing";
  const std::string old = directory + "/.y.script.1-2-3.writing";
  Write(fresh, "size");
  Write(old, "size");
  fs::last_write_time(old, fs::file_time_type::clock::now() - std::chrono::hours(2));
  EXPECT_TRUE(ScriptCorpus::Open(directory));
  EXPECT_TRUE(fs::exists(fresh));  // Somebody may be at it.
  EXPECT_FALSE(fs::exists(old));
}

TEST(ScriptCorpus, AFileInItsPlaceIsSaid) {
  const std::string path = Fresh("file");
  Write(path, "size 1M\n");
  const auto corpus = ScriptCorpus::Open(path);
  ASSERT_FALSE(corpus);
  EXPECT_TRUE(corpus.error().sentence.contains("--corpus")) << corpus.error().sentence;
}

}  // namespace
}  // namespace nbdspec::fuzz
