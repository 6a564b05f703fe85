// SPDX-License-Identifier: BSD-3-Clause
// What nbdspec reads from the disk, any bytes of it: a value that prints and reads back, or a sentence with the line.
//
// The text says which reader it is for, as it does for nbdspec: a script header means a case for nbdkit (fuzz/live), a
// brace the about.json of a finding (fuzz/findings), anything else is a catalogue of requirements. Scripts by
// themselves are the target script_text's. To add a reader, add its function to ReportReaders, its first bytes to
// FindReportInputDisagreement, and a planted bug or two.

#pragma once

#include <functional>
#include <string>

#include "engine/base/bytes.h"
#include "engine/spec/catalogue.h"
#include "fuzz/comparisons/fuzz_target.h"
#include "fuzz/findings/finding.h"
#include "fuzz/nbdkit/nbdkit_case.h"

namespace nbdspec::fuzz {

// The readers under test. Canary tests plant bugs by passing others.
struct ReportReaders {
  std::function<decltype(spec::Catalogue::Parse)> parse_catalogue = spec::Catalogue::Parse;
  std::function<decltype(ParseNbdkitCase)> parse_case = ParseNbdkitCase;
  std::function<std::string(const NbdkitCase&)> print_case = [](const NbdkitCase& read) { return Print(read); };
  std::function<decltype(ParseAbout)> parse_about = ParseAbout;
  std::function<std::string(const About&)> print_about = [](const About& read) { return Print(read); };
};

// The first thing wrong with what a reader makes of `input`.
Found FindReportInputDisagreement(engine::ByteView input, const ReportReaders& readers = {});

FuzzTarget ReportInputTarget();

}  // namespace nbdspec::fuzz
