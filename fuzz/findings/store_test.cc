// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/findings/store.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "engine/spec/ids.h"

namespace nbdspec::fuzz {
namespace {

namespace fs = std::filesystem;

// An empty directory of the test's own.
std::string FreshDirectory() {
  const char* base = std::getenv("TEST_TMPDIR");
  std::string pattern = std::string(base != nullptr ? base : "/tmp") + "/findings.XXXXXX";
  EXPECT_NE(mkdtemp(pattern.data()), nullptr);
  return pattern;
}

Finding Example() {
  return {.kind = FindingKind::kWrongData,
          .rule = std::string(spec::kTransmissionWriteThenReply),
          .request_kind = "read df",
          .expected = "byte 7 at 4096",
          .saw = "byte 0, and \xff\n",
          .state = FindingState::kObserved,
          .script = {.size = 8192,
                     .steps = {engine::RequestStep{.command = engine::Command::kWrite, .offset = 4096, .length = 512},
                               engine::WaitStep{}, engine::RequestStep{.offset = 4096, .length = 512}}},
          .step = 2,
          .transcript = {"C1> @0 +28  NBD_CMD_READ", "-- nothing"},
          .connections = {{.sent = {1, 2, 3}, .received = {0, 255, 10}, .sent_offset = 7, .received_offset = 9},
                          {.sent = {}, .received = {4}}},
          .server_ended = "killed by SIGSEGV",
          .server_stderr = std::string("last\0words\xfe", 11),
          .seed = 0xffff'ffff'ffff'ffff,
          .script_number = 12,
          .count = 3,
          .target = "nbdkit 1.32.5 (file)",
          .target_words = "nbdkit",
          .replay_options = "--in-flight 7",
          .version = "0.1.0"};
}

FindingStore OpenStore(const std::string& directory) {
  auto store = FindingStore::Open(directory);
  EXPECT_TRUE(store) << store.error().sentence;
  return *store;
}

// What is read of it: of streams only where they begin.
Finding AsRead(Finding finding) {
  for (FindingStream& stream : finding.connections) {
    stream.sent.clear();
    stream.received.clear();
  }
  finding.server_stderr = "last\\x00words\\xfe";  // A file that people look at.
  return finding;
}

// Who has seen it has a name of its own each time.
Finding WithoutNames(Finding finding) {
  EXPECT_EQ(finding.seen_by.size(), 1U);
  finding.seen_by.clear();
  return finding;
}

void Overwrite(const std::string& file, std::string_view text) { std::ofstream(file, std::ios::trunc) << text; }

TEST(FindingStore, WhatIsSavedIsReadAgain) {
  FindingStore store = OpenStore(FreshDirectory() + "/made/for/it");
  Finding finding = Example();
  const auto saved = store.Save(finding);
  ASSERT_TRUE(saved) << saved.error().sentence;
  const auto read = ReadFinding(*saved);
  ASSERT_TRUE(read) << read.error().sentence;
  finding.saw = "byte 0, and \xef\xbf\xbd\n";  // JSON holds valid UTF-8 only.
  EXPECT_EQ(WithoutNames(*read), AsRead(finding));
}

TEST(FindingStore, WhatWasSentBeforeIsKeptToo) {
  FindingStore store = OpenStore(FreshDirectory());
  Finding finding = Example();
  finding.saw = "byte 0";
  finding.whole = finding.script;
  finding.whole->steps.emplace_back(engine::WaitStep{});
  const std::string saved = *store.Save(finding);
  EXPECT_EQ(WithoutNames(*ReadFinding(saved)), AsRead(finding));
  finding.whole.reset();
  ASSERT_TRUE(store.Replace(saved, finding));
  EXPECT_EQ(WithoutNames(*ReadFinding(saved)), AsRead(finding));
  EXPECT_FALSE(fs::exists(saved + "/whole.txt"));
}

TEST(FindingStore, TheKeyNamesTheDirectoryAndTheSecondGetsItsOwn) {
  const std::string directory = FreshDirectory();
  FindingStore store = OpenStore(directory);
  EXPECT_EQ(*store.Save(Example()), directory + "/wrong-data.transmission.write.then-reply.read-df-1");
  EXPECT_EQ(*store.Save(Example()), directory + "/wrong-data.transmission.write.then-reply.read-df-2");
  EXPECT_EQ(ListFindings(directory).size(), 2U);
}

TEST(FindingStore, EveryFileIsThereForPeople) {
  FindingStore store = OpenStore(FreshDirectory());
  const std::string saved = *store.Save(Example());
  for (const char* name : {"about.json", "script.txt", "transcript.txt", "sent.bin", "received.bin", "sent-2.bin",
                           "received-2.bin", "stderr.txt"}) {
    EXPECT_TRUE(fs::exists(saved + "/" + name)) << name;
  }
  std::ifstream about(saved + "/about.json");
  const std::string text{std::istreambuf_iterator<char>(about), {}};
  EXPECT_NE(text.find("\"nbdspec replay " + saved + " --in-flight 7\""), std::string::npos);
}

TEST(FindingStore, ReplacingLeavesOnlyTheNewOne) {
  const std::string directory = FreshDirectory();
  FindingStore store = OpenStore(directory);
  const std::string saved = *store.Save(Example());
  Finding smaller = Example();
  smaller.state = FindingState::kReproduced;
  smaller.script.steps.resize(1);
  ASSERT_TRUE(store.Replace(saved, smaller));
  EXPECT_EQ(ListFindings(directory), std::vector<std::string>{saved});
  EXPECT_EQ(ReadFinding(saved)->state, FindingState::kReproduced);
  EXPECT_EQ(ReadFinding(saved)->script.steps.size(), 1U);
}

TEST(FindingStoreDeathTest, AKillBetweenSavingAndShrinkingLosesNothing) {
  const std::string directory = FreshDirectory();
  EXPECT_EXIT(
      {
        FindingStore store = OpenStore(directory);
        if (store.Save(Example())) {
          kill(getpid(), SIGKILL);
        }
      },
      testing::KilledBySignal(SIGKILL), "");
  const auto found = ListFindings(directory);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(ReadFinding(found[0])->script, Example().script);
  EXPECT_EQ(ReadFinding(found[0])->state, FindingState::kObserved);
}

// Replaces a finding again and again until it is killed from the side.
void ReplaceUntilKilled(const std::string& directory, const std::string& saved, std::chrono::microseconds delay) {
  std::thread killer([delay] {
    std::this_thread::sleep_for(delay);
    kill(getpid(), SIGKILL);
  });
  FindingStore store = OpenStore(directory);
  while (store.Replace(saved, Example())) {
  }
  killer.join();
}

// Replace renames twice; whatever is left by a kill before, between and after has a whole finding in it.
TEST(FindingStoreDeathTest, AKillAtAnyMomentOfReplacingLeavesAWholeFinding) {
  for (int delay_us = 0; delay_us < 3000; delay_us += 150) {
    const std::string directory = FreshDirectory();
    const std::string saved = *OpenStore(directory).Save(Example());
    EXPECT_EXIT(ReplaceUntilKilled(directory, saved, std::chrono::microseconds(delay_us)),
                testing::KilledBySignal(SIGKILL), "");
    const auto found = ListFindings(directory);
    ASSERT_EQ(found.size(), 1U) << delay_us;
    const auto read = ReadFinding(found[0]);
    ASSERT_TRUE(read) << read.error().sentence;
    EXPECT_EQ(read->script, Example().script);
  }
}

TEST(FindingStore, WhatIsRemovedIsGone) {
  const std::string directory = FreshDirectory();
  FindingStore store = OpenStore(directory);
  const std::string first = *store.Save(Example());
  const std::string second = *store.Save(Example());
  store.Remove(first);
  EXPECT_EQ(ListFindings(directory), std::vector<std::string>{second});
}

// Saves and removes until it is killed from the side.
void RemoveUntilKilled(const std::string& directory, std::chrono::microseconds delay) {
  std::thread killer([delay] {
    std::this_thread::sleep_for(delay);
    kill(getpid(), SIGKILL);
  });
  FindingStore store = OpenStore(directory);
  while (const auto saved = store.Save(Example())) {
    store.Remove(*saved);
  }
  killer.join();
}

TEST(FindingStoreDeathTest, AKillAtAnyMomentOfRemovingTearsNothing) {
  for (int delay_us = 0; delay_us < 3000; delay_us += 150) {
    const std::string directory = FreshDirectory();
    EXPECT_EXIT(RemoveUntilKilled(directory, std::chrono::microseconds(delay_us)), testing::KilledBySignal(SIGKILL),
                "");
    for (const std::string& found : ListFindings(directory)) {
      const auto read = ReadFinding(found);
      EXPECT_TRUE(read) << read.error().sentence;
    }
  }
}

TEST(FindingStore, WhatWasBeingReplacedStillCountsWhenTheNewOneIsNotThere) {
  const std::string directory = FreshDirectory();
  const std::string saved = *OpenStore(directory).Save(Example());
  fs::rename(saved, saved + ".before");
  ASSERT_EQ(ListFindings(directory), std::vector<std::string>{saved + ".before"});
  EXPECT_TRUE(ReadFinding(saved + ".before"));
}

TEST(FindingStore, WhatAKilledRunLeftHalfIsRemovedByTheNext) {
  const std::string directory = FreshDirectory();
  const std::string replaced = *OpenStore(directory).Save(Example());
  const std::string between = *OpenStore(directory).Save(Example());
  const std::string half = directory + "/.crash.x.12345.writing";
  const auto leave = [&] {
    fs::create_directory(half);
    Overwrite(half + "/script.txt", "size 4");
    fs::copy(replaced, replaced + ".before");
  };
  leave();
  fs::rename(between, between + ".before");
  const FindingStore next = OpenStore(directory);
  EXPECT_FALSE(fs::exists(half));
  EXPECT_FALSE(fs::exists(replaced + ".before"));
  EXPECT_EQ(ListFindings(directory), (std::vector<std::string>{replaced, between}));
  leave();  // Now it may be that other run, which goes on.
  const FindingStore beside = OpenStore(directory);
  EXPECT_TRUE(fs::exists(half + "/script.txt"));
  EXPECT_TRUE(fs::exists(replaced + ".before"));
}

TEST(FindingStore, ATornFileIsTold) {
  for (const char* name : {"script.txt", "transcript.txt", "sent.bin", "received-2.bin", "stderr.txt"}) {
    const std::string saved = *OpenStore(FreshDirectory()).Save(Example());
    fs::resize_file(saved + "/" + name, fs::file_size(saved + "/" + name) / 2);
    if (fs::file_size(saved + "/" + name) == 0 && std::string(name) == "received-2.bin") {
      EXPECT_FALSE(ReadFinding(saved));
    }
    const auto read = ReadFinding(saved);
    ASSERT_FALSE(read) << name;
    EXPECT_NE(read.error().sentence.find(name), std::string::npos) << read.error().sentence;
  }
}

// A directory and /proc/self/mem, where the first read fails, in place of each file.
TEST(FindingStore, AFileThatCannotBeReadIsTold) {
  for (const char* name : {"script.txt", "sent.bin", "about.json"}) {
    const std::string saved = *OpenStore(FreshDirectory()).Save(Example());
    const std::string file = saved + "/" + name;
    fs::remove(file);
    fs::create_symlink("/proc/self/mem", file);
    const auto unread = ReadFinding(saved);
    ASSERT_FALSE(unread) << name;
    EXPECT_NE(unread.error().sentence.find("cannot be read"), std::string::npos) << unread.error().sentence;
    fs::remove(file);
    fs::create_directory(file);
    const auto directory = ReadFinding(saved);
    ASSERT_FALSE(directory) << name;
    EXPECT_EQ(directory.error().sentence, unread.error().sentence);
  }
}

// A link to itself cannot be followed: it is none, and what comes before and after it is still listed.
TEST(FindingStore, WhatCannotBeLookedAtHidesNoOther) {
  const std::string directory = FreshDirectory();
  const std::string saved = *OpenStore(directory).Save(Example());
  for (const char* name : {"a", "z", "wrong"}) {
    fs::create_symlink(name, directory + "/" + name);
  }
  fs::rename(saved, directory + "/wrong.before");
  fs::create_directory_symlink("z", directory + "/y");
  EXPECT_EQ(ListFindings(directory), std::vector<std::string>{directory + "/wrong.before"});
}

TEST(FindingStore, AChangedByteIsTold) {
  const std::string saved = *OpenStore(FreshDirectory()).Save(Example());
  Overwrite(saved + "/sent.bin", std::string("\x01\x02\x04", 3));
  const auto read = ReadFinding(saved);
  ASSERT_FALSE(read);
  EXPECT_NE(read.error().sentence.find("\"sent.bin\" is not what was written"), std::string::npos);
}

TEST(FindingStore, AnyAboutIsSurvived) {
  for (const char* text :
       {"", "{", "[]", "null", "7", "{}", R"({"kind":"crash"})", R"({"kind":7,"state":[]})",
        R"({"kind":"crash","state":"observed"})", R"({"kind":"crash","state":"observed","files":[]})",
        R"({"kind":"crash","state":"observed","files":{"../about.json":{"bytes":1}}})",
        R"({"kind":"crash","state":"observed","files":{"script.txt":7}})",
        R"({"kind":"crash","state":"observed","files":{"script.txt":{"bytes":-1,"fnv1a":"x"}}})",
        R"({"kind":"crash","state":"observed","files":{}})"}) {
    const std::string saved = *OpenStore(FreshDirectory()).Save(Example());
    Overwrite(saved + "/about.json", text);
    EXPECT_FALSE(ReadFinding(saved)) << text;
  }
}

TEST(FindingStore, ANameInAnAboutIsEscapedWhenShown) {
  const std::string saved = *OpenStore(FreshDirectory()).Save(Example());
  for (const char* name : {"no\\u001b[2Jfile", "\\n"}) {
    Overwrite(saved + "/about.json",
              R"({"kind":"crash","state":"observed","files":{")" + std::string(name) + R"(":{}}})");
    const auto read = ReadFinding(saved);
    ASSERT_FALSE(read) << name;
    EXPECT_NE(read.error().sentence.find("cannot be read"), std::string::npos) << read.error().sentence;
    EXPECT_TRUE(std::ranges::all_of(read.error().sentence, [](char c) { return c >= ' ' && c <= '~'; }));
  }
}

TEST(About, AnyNumbersAndTextsReadBack) {
  const About about = {.finding = {.kind = FindingKind::kHang,
                                   .rule = "a\"b\\\n\x01\xc3\xa9",
                                   .state = FindingState::kReproduced,
                                   .connections = {{.sent_offset = ~std::uint64_t{0}}, {.received_offset = 1}},
                                   .seed = ~std::uint64_t{0}},
                       .replay = "nbdspec replay x",
                       .files = {{"sent.bin", {.bytes = 7, .fnv1a = ~std::uint64_t{0}}}, {"", {}}}};
  const auto read = ParseAbout(Print(about));
  ASSERT_TRUE(read) << read.error().sentence;
  EXPECT_EQ(*read, about);
}

TEST(About, TakesAsManyFilesAsConnectionsNeedAndNoMore) {
  About about;
  for (int i = 0; i < 132; ++i) {
    about.files[std::to_string(i)] = {};
  }
  EXPECT_TRUE(ParseAbout(Print(about)));
  about.files["more"] = {};
  EXPECT_FALSE(ParseAbout(Print(about)));
}

TEST(About, HasALengthAndADepthThatAreSurvived) {
  const std::string about = Print(About{});
  EXPECT_TRUE(ParseAbout(about + std::string(kAboutBytesMax - about.size(), ' ')));
  const auto longer = ParseAbout(about + std::string(kAboutBytesMax - about.size() + 1, ' '));
  ASSERT_FALSE(longer);
  EXPECT_EQ(longer.error().sentence, "about.json has more than 4194304 bytes");
  EXPECT_FALSE(ParseAbout(std::string(1 << 20, '[')));
  EXPECT_FALSE(ParseAbout(std::string(1 << 20, '[') + std::string(1 << 20, ']')));
}

// Each key was once looked for among all that came before it.
TEST(About, HasAnyNumberOfKeys) {
  std::string about = Print(About{});
  about.resize(about.rfind('}'));
  for (int i = 0; i < 250'000; ++i) {
    about += ",\"" + std::to_string(i) + "\":1";
  }
  EXPECT_TRUE(ParseAbout(about + "}"));
}

// What was sent may be long, and nobody needs it to replay; the rest is read into memory.
TEST(FindingStore, NoMoreIsReadThanAFindingHas) {
  struct Long {
    const char* file;
    std::uint64_t bytes;
    const char* says;
  };
  for (const auto& [file, bytes, says] :
       {Long{"transcript.txt", std::uint64_t{900} << 20, "its texts have more than 67108864 bytes"},
        Long{"received.bin", std::uint64_t{1} << 40, "what was sent and received has more than 2147483648 bytes"},
        Long{"sent-2.bin", ~std::uint64_t{0}, "what was sent and received has more than 2147483648 bytes"}}) {
    const std::string saved = *OpenStore(FreshDirectory()).Save(Example());
    std::error_code error;
    fs::resize_file(saved + "/" + file, bytes, error);  // A hole, where the file system can.
    std::ifstream stream(saved + "/about.json");
    auto about = ParseAbout(std::string{std::istreambuf_iterator<char>(stream), {}});
    ASSERT_TRUE(about);
    about->files[file].bytes = bytes;
    Overwrite(saved + "/about.json", Print(*about));
    const auto read = ReadFinding(saved);
    ASSERT_FALSE(read) << file;
    EXPECT_NE(read.error().sentence.find(says), std::string::npos) << read.error().sentence;
  }
}

TEST(FindingStore, AFileThatHasGrownIsNotReadToItsEnd) {
  const std::string saved = *OpenStore(FreshDirectory()).Save(Example());
  fs::resize_file(saved + "/sent.bin", std::uint64_t{1} << 40);
  const auto read = ReadFinding(saved);
  ASSERT_FALSE(read);
  EXPECT_NE(read.error().sentence.find("\"sent.bin\" is not what was written"), std::string::npos);
}

TEST(FindingStore, ADirectoryThatCannotBeWrittenIsRefused) {
  const std::string file = FreshDirectory() + "/file";
  Overwrite(file, "x");
  const auto store = FindingStore::Open(file);
  ASSERT_FALSE(store);
  EXPECT_NE(store.error().sentence.find("--findings"), std::string::npos);
}

TEST(Finding, NamesAreInverse) {
  for (int kind = 0; kind <= static_cast<int>(FindingKind::kDamage); ++kind) {
    const auto value = static_cast<FindingKind>(kind);
    EXPECT_EQ(FindingKindFrom(Name(value)), value);
  }
  EXPECT_EQ(FindingKindFrom("bug"), std::nullopt);
  EXPECT_EQ(FindingStateFrom(Name(FindingState::kNotReproduced)), FindingState::kNotReproduced);
}

TEST(Finding, TheKeyIsAFileName) {
  Finding finding{.kind = FindingKind::kCrash, .rule = "../A b\n", .request_kind = std::string(500, 'x')};
  EXPECT_EQ(KeyOf(finding).find('/'), std::string::npos);
  EXPECT_TRUE(KeyOf(finding).starts_with("crash...-a-b-.xxx"));
  EXPECT_LE(KeyOf(finding).size(), 200U);
}

}  // namespace
}  // namespace nbdspec::fuzz
