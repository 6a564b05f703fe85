// SPDX-License-Identifier: BSD-3-Clause
#include "command/testdata/hostile_run.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <pugixml.hpp>
#include <string_view>
#include <thread>
#include <vector>

#include "command/testdata/program.h"

namespace nbdspec::command {

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kPause(2);
constexpr std::chrono::minutes kPatience(3);  // For what ends by itself: longer than any limit of the program.
constexpr std::uint64_t kMemoryBytesMax = 256 << 20;
constexpr std::size_t kOutputBytesMax = 4 << 20;

// Where `text` would control a terminal: C0 but for line feed and tab, DEL, and C1 in UTF-8.
std::string ControlIn(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
    if ((byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7f ||
        (byte == 0xc2 && next >= 0x80 && next < 0xa0)) {
      return testing::PrintToString(text.substr(i < 100 ? 0 : i - 100, 200));
    }
  }
  return "";
}

bool IsWhole(const std::string& extension, const std::string& text) {
  if (extension == ".json") {
    return nlohmann::json::accept(text);
  }
  pugi::xml_document document;
  return extension != ".xml" || document.load_string(text.c_str());
}

}  // namespace

std::size_t SurroundingsStep() {
  const char* const step = std::getenv("NBDSPEC_SURROUNDINGS_STEP");
  return step == nullptr ? 1 : std::strtoull(step, nullptr, 10);
}

std::vector<std::string> TalkingCommands() { return {"check", "fuzz", "diff", "map", "replay", "shrink"}; }

std::vector<std::string> PowerCutCommands() { return {"check_power", "fuzz_power"}; }

std::string OnDisk(const std::string& server) {
  return "'sh -c \"exec " + server.substr(1, server.size() - 2) + "\" {image-uri}'";
}

std::string HostileRun::Script() const {
  Write(Out("a.script"),
        "# nbdspec script\nsize 64K\nwrite 0 +512 pattern 7\nread 0 +1024\nwait\ntrim 512 +512\nstatus 0 +4096\n");
  return Out("a.script");
}

std::string HostileRun::WordsFor(const std::string& command, const std::string& server,
                                 const std::string& patience) const {
  const std::string waits = " --reply-timeout " + patience + " ";
  const std::string reports = waits + "--json " + Out("run.json") + " --html " + Out("run.html");
  const bool is_hurried = patience == kHurried;
  const std::string spawned = server == "reference" ? server : "--spawn " + server;
  if (command == "check") {
    return "check handshake.magic baseline.read block-status.at-least-one " + spawned + " -j 2" +
           (is_hurried ? " --case-timeout 2s --deadline 5s" : "") + " --junit " + Out("run.xml") + " --ndjson " +
           Out("run.ndjson") + " --markdown " + Out("run.md") + reports;
  }
  if (command == "fuzz") {
    return "fuzz " + spawned + " --scripts 2 --steps 6" + (is_hurried ? " --time 1s" : "") + " --findings " +
           Out("findings") + reports;
  }
  if (command == "check_power" || command == "fuzz_power") {
    const std::string checks = " handshake.magic transmission.fua.no-early-reply/long";
    return WordsFor(command.substr(0, command.find('_')), OnDisk(server), patience) + " --power-cut" +
           (command == "check_power" ? checks : "");
  }
  if (command == "diff") {
    return "diff " + server + " reference --scripts 2 --steps 6" + reports;
  }
  if (command == "map") {
    return "map " + spawned + waits + "--json " + Out("map.json") + " --svg " + Out("map.svg");
  }
  if (command == "replay") {
    return "replay " + Script() + " --tries 1 --target " + server + waits + "--html " + Out("replay.html");
  }
  return "shrink " + Script() + " --tries 2 --target " + server + waits + "--output " + Out("small.script");
}

HostileRun::HostileRun() : directory_("/tmp/nbdspec-test-XXXXXX") {  // Short: of a long one no socket can be made.
  EXPECT_NE(::mkdtemp(directory_.data()), nullptr);
  std::filesystem::create_directory(tmpdir());
  std::filesystem::create_directory(Out(""));
}

HostileRun::~HostileRun() { std::filesystem::remove_all(directory_); }

std::string HostileRun::Server(const std::string& fault, const std::string& hostile_words) {
  const std::string file = directory_ + "/" + std::to_string(++server_count_) + ".fault";
  Write(file, fault);
  const std::string faulty = "conformance/peer/faulty_server {socket} " + file;
  return hostile_words.empty() ? "'" + faulty + "'"
                               : "'conformance/peer/hostile_server {socket} " + hostile_words + " then " + faulty + "'";
}

Ended HostileRun::Run(const std::string& words, const std::set<int>& exits, const std::string& before,
                      std::optional<Moment> moment) {
  const Ended ended = conformance::RunInShell(
      "export TMPDIR=" + tmpdir() + "; " + before + "exec command/nbdspec " + words, moment, kPatience);
  EXPECT_TRUE(ended.has_ended) << "was killed at last: " << ended.line << "\n" << ended.output;
  const bool is_documented = !ended.is_killed && exits.contains(ended.exit);
  EXPECT_TRUE(is_documented || (ended.was_signalled && ended.exit == 128 + moment->signal_number))
      << (ended.is_killed ? "killed, " : "") << "exit code " << ended.exit << ": " << ended.line << "\n"
      << ended.output;
  EXPECT_EQ(ControlIn(ended.output), "") << ended.line;
  EXPECT_LT(ended.output.size(), kOutputBytesMax) << ended.line;
  if (!__has_feature(address_sanitizer)) {
    EXPECT_LT(ended.memory_bytes, kMemoryBytesMax + bytes_more_) << ended.line;
  }
  ExpectNothingLeft(ended);
  ExpectWholeReports(ended, ended.was_signalled && moment->signal_number == SIGKILL);
  return ended;
}

// Guardians, and servers, have the directory in their command lines.
void HostileRun::ExpectNothingLeft(const Ended& ended) const {
  const auto start = Clock::now();
  for (std::string left = ProcessesWith(directory_); !left.empty(); left = ProcessesWith(directory_)) {
    if (Clock::now() - start > kPatience) {
      ADD_FAILURE() << "processes are left, " << left << ": " << ended.line;
      return;
    }
    std::this_thread::sleep_for(10 * kPause);
  }
  std::string files;
  for (const auto& entry : std::filesystem::directory_iterator(tmpdir())) {
    files += entry.path().string() + " ";
  }
  EXPECT_EQ(files, "") << ended.line << "\n" << ended.output;
}

// A kill leaves what was about to be a finding, or a report; the next run removes it (store_test, output_test).
void HostileRun::ExpectWholeReports(const Ended& ended, bool was_killed) const {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(Out(""))) {
    const std::string file = entry.path().string();
    const std::string extension = entry.path().extension().string();
    const bool is_unfinished = extension == ".writing" || file.contains(".writing/") || extension == ".tmp";
    EXPECT_TRUE(was_killed || (!is_unfinished && extension != ".before")) << file << ": " << ended.line;
    if (entry.is_regular_file() && !is_unfinished) {
      const std::string text = Contents(file);
      EXPECT_TRUE(IsWhole(extension, text)) << file << " is torn: " << ended.line << "\n" << text.substr(0, 400);
      if (extension != ".bin") {
        EXPECT_EQ(ControlIn(text), "") << file << ": " << ended.line;
      }
    }
  }
}

void DoAll(const std::vector<std::function<void(HostileRun&)>>& all) {
  constexpr int kAtOnce = 64;
  std::atomic<std::size_t> next = 0;
  std::vector<std::jthread> threads;
  for (int i = 0; i < kAtOnce; ++i) {
    threads.emplace_back([&] {
      for (std::size_t mine = next++; mine < all.size(); mine = next++) {
        HostileRun run;
        all[mine](run);
      }
    });
  }
}

}  // namespace nbdspec::command
