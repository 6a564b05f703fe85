// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/selftest/selftest.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <iterator>
#include <map>
#include <set>
#include <span>

#include "conformance/checks/check.h"
#include "conformance/peer/reference_target.h"
#include "conformance/runner/runner.h"
#include "engine/spec/catalogue.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

namespace {

using engine::faults::Detector;
using engine::faults::Fault;

struct Form {
  std::string_view name;
  engine::ServerOptions server;
};
constexpr std::array<Form, 2> kForms = {{
    {"newstyle that is not fixed", {.handshake_flags = engine::HandshakeFlag::kNoZeroes}},
    {"oldstyle", {.oldstyle = true}},
}};
// Which accuses them, rightly.
constexpr std::string_view kAccuserOfForms = spec::kBaselineFixedNewstyleServer;

// Why faults cannot be inside TLS, or do not show there.
constexpr std::string_view kNoTls = "a server without TLS is wrong in this way";
constexpr std::string_view kNotFixed = "a client that has not set C_FIXED_NEWSTYLE gets no TLS";
struct Outside {
  std::string_view fault;
  std::string_view check;
  std::string_view why_not;
};
constexpr std::array<Outside, 7> kOutsideOfTls = {{
    {"server_wants_tls_for_info_but_has_none", spec::kTlsModeOneOfThree, kNoTls},
    {"server_has_tls_later", spec::kTlsModeConsistent, kNoTls},
    {"server_wants_tls_for_list_but_has_none", spec::kTlsNotlsNoTlsReqd, kNoTls},
    {"server_drops_clients_without_fixed_newstyle", kSub<spec::kHandshakeFlagsNoUnilateralChange, "served">, kNotFixed},
    {"server_hides_flags_from_clients_without_flags", kSub<spec::kHandshakeFlagsNoUnilateralChange, "served">,
     kNotFixed},
    {"server_omits_pad_for_clients_without_flags", kSub<spec::kOptionExportNameZeroPad, "no-flags">, kNotFixed},
    {"server_pads_for_clients_with_no_zeroes_alone", kSub<spec::kHandshakeFlagsNoZeroes, "not-fixed">, kNotFixed},
}};

// Why `check` cannot be shown `fault` inside TLS; empty where it can.
std::string_view WhyNotInsideTls(const Fault& fault, std::string_view check) {
  if (fault.server.oldstyle) {
    return "an oldstyle server has no TLS";
  }
  const auto outside = std::ranges::find_if(
      kOutsideOfTls, [&](const Outside& each) { return each.fault == fault.name && each.check == check; });
  return outside == kOutsideOfTls.end() ? "" : outside->why_not;
}

// No check may run out of time here, however busy the machine is; and a server in this process needs none to be quiet.
RunOptions OptionsFor(const SelfTestOptions& options) {
  return {.seed = options.seed,
          .limits = {.quiet_time = std::chrono::milliseconds(0)},
          .case_timeout = std::chrono::minutes(2),
          .extended = options.extended};
}

// By the level of the check's requirement. Where that only advises, two ends out of step fail their own clause instead.
reports::Verdict ExpectedOf(const Check& check, const reports::Outcome& outcome) {
  const reports::Verdict own = VerdictFor(Judgement::Kind::kBroken, spec::RequirementOf(check.id));
  const bool is_outweighed = outcome.requirement == spec::kOptionReplyForEveryOption ||
                             outcome.requirement == spec::kTransmissionReplyPerRequest;
  return own == reports::Verdict::kWarn && is_outweighed ? reports::Verdict::kFail : own;
}

// The reference server turns faulty when the sanity conversation is over: a check must catch its fault by what it
// sends itself.
Catch Run(const Fault& fault, const engine::ServerOptions& server, const Check& check,
          const SelfTestOptions& self_test) {
  std::atomic<bool> is_faulty = false;
  const auto target =
      ReferenceTarget({.interposers = [&, number = std::uint64_t{0}](
                                          engine::Layer& layer) mutable -> std::unique_ptr<engine::Interposer> {
                         ++number;
                         return is_faulty ? engine::faults::Interpose(fault.change, number - 1, &layer) : nullptr;
                       },
                       .server = server,
                       .tcp_port = engine::kNbdPort,
                       .tls = self_test.tls});
  const RunOptions options = OptionsFor(self_test);
  Knowledge knowledge;
  Worker worker(*target, options, Transport::Clock::time_point::max(), knowledge);
  worker.Open(check.setup);
  is_faulty = true;
  reports::Outcome outcome = worker.Run(check);
  return {.check = check.id,
          .expected = ExpectedOf(check, outcome),
          .got = outcome.verdict,
          .saw = outcome.evidence.saw,
          .shows_judged = std::ranges::count(outcome.evidence.messages, reports::Message::Part::kJudged,
                                             &reports::Message::part) > 0};
}

// Runs the checks, those of gigabytes and of a thousand clients only if `large`, on a reference server without faults.
// Returns what each says; nothing for those that do not apply.
std::map<const Check*, reports::Outcome> RunAll(ReferenceOptions reference, const SelfTestOptions& self_test,
                                                bool large = true) {
  reference.tls = self_test.tls;
  const auto target = ReferenceTarget(std::move(reference));
  const RunOptions options = OptionsFor(self_test);
  Knowledge knowledge;
  Worker worker(*target, options, Transport::Clock::time_point::max(), knowledge);
  std::map<const Check*, reports::Outcome> outcomes;
  for (const Check& check : AllChecks()) {
    const bool is_large = check.setup == Setup::kLarge || check.requirement() == spec::kSessionDepartedNoGrowth;
    const bool is_chosen = check.id.starts_with(self_test.prefix) && (large || !is_large);
    reports::Outcome outcome =
        is_chosen ? worker.Run(check) : reports::Outcome{.verdict = reports::Verdict::kNotApplicable};
    if (outcome.verdict != reports::Verdict::kNotApplicable) {
      outcomes.emplace(&check, std::move(outcome));
    }
  }
  return outcomes;
}

FormTest RunForm(const Form& form, const SelfTestOptions& options) {
  FormTest result{.form = form.name};
  for (auto& [check, outcome] : RunAll({.server = form.server}, options)) {
    if (outcome.verdict != reports::Verdict::kPass) {
      if (check->id != kAccuserOfForms) {
        result.false_alarms.push_back(std::move(outcome));
      }
      continue;
    }
    const bool is_proven = std::ranges::any_of(
        engine::faults::DetectionsBy(Detector::Kind::kCheck, check->id),
        [&](const engine::faults::Detection& each) { return Run(each.fault, form.server, *check, options).caught(); });
    if (is_proven) {
      ++result.proven_count;
    } else {
      result.checks_unproven.push_back(check->id);
    }
  }
  return result;
}

// Notes whether what passes through `odd` comes out as something else.
class Watch : public engine::Interposer {
 public:
  Watch(std::unique_ptr<engine::Interposer> odd, bool& shows) : odd_(std::move(odd)), shows_(shows) {}

  void BytesCame() override { odd_->BytesCame(); }

  bool BeforeServer(engine::ClientMessage& received, const engine::Negotiated& state) override {
    const engine::ClientMessage as_it_came = received;
    const bool is_received = odd_->BeforeServer(received, state);
    shows_ = shows_ || !is_received || received != as_it_came;
    return is_received;
  }

  void ChangeTls(engine::TlsConduct& conduct) override {
    const engine::TlsConduct usual = conduct;
    odd_->ChangeTls(conduct);
    shows_ = shows_ || conduct != usual;
  }

  void AfterServer(const engine::ClientMessage* received, const engine::Negotiated& state,
                   std::vector<engine::ServerMessage>& sent) override {
    const std::vector<engine::ServerMessage> usual = sent;
    odd_->AfterServer(received, state, sent);
    shows_ = shows_ || sent != usual;
  }

 private:
  std::unique_ptr<engine::Interposer> odd_;
  bool& shows_;
};

bool IsAccusation(const reports::Outcome& outcome) {
  using enum reports::Verdict;
  return outcome.verdict == kFail || outcome.verdict == kInconclusive || outcome.verdict == kFlaky;
}

}  // namespace

bool SelfTest::holds() const {
  return std::ranges::all_of(rows, &SelfTestRow::holds) && checks_unproven.empty() && false_alarms.empty() &&
         std::ranges::all_of(
             forms, [](const FormTest& form) { return form.checks_unproven.empty() && form.false_alarms.empty(); });
}

SelfTestRow RunFault(const Fault& fault, const SelfTestOptions& options) {
  SelfTestRow row{.fault = fault};
  for (const Detector& detector : fault.detectors) {
    if (detector.kind != Detector::Kind::kCheck || !detector.id.starts_with(options.prefix)) {
      continue;
    }
    const auto check = std::ranges::find(AllChecks(), detector.id, &Check::id);
    const bool can_run = !options.tls || !fault.server.oldstyle;
    row.catches.push_back(check == AllChecks().end() ? Catch{.check = detector.id, .saw = "there is no such check"}
                          : can_run                  ? Run(fault, fault.server, *check, options)
                                                     : Catch{.check = detector.id});
    row.catches.back().why_not = options.tls ? WhyNotInsideTls(fault, detector.id) : "";
  }
  return row;
}

OddityRow RunOddity(const engine::oddities::Oddity& oddity, const SelfTestOptions& options) {
  OddityRow row{.oddity = oddity, .shows = oddity.server != nullptr || oddity.offers != nullptr};
  ReferenceOptions reference;
  if (oddity.server) {
    oddity.server(reference.server);
  }
  if (oddity.offers) {
    oddity.offers(reference.offers);
  }
  reference.interposers = [&, number = std::uint64_t{0}](engine::Layer& layer) mutable {
    return std::make_unique<Watch>(engine::faults::Interpose(oddity.change, number++, &layer), row.shows);
  };
  for (auto& [check, outcome] : RunAll(std::move(reference), options, /*large=*/oddity.offers != nullptr)) {
    if (IsAccusation(outcome)) {
      row.accusations.push_back(std::move(outcome));
    }
  }
  return row;
}

SelfTest RunSelfTest(const SelfTestOptions& options) {
  SelfTest result;
  std::set<std::string_view> proven;
  for (std::size_t i = 0; i < engine::faults::AllFaults().size(); i += options.fault_step) {
    SelfTestRow row = RunFault(engine::faults::AllFaults()[i], options);
    for (const Catch& each : row.catches) {
      if (each.why_not.empty()) {
        proven.insert(each.check);
      }
    }
    if (!row.catches.empty() || options.prefix.empty()) {
      result.rows.push_back(std::move(row));
    }
  }
  auto outcomes = RunAll({}, options);
  for (const Check& check : AllChecks()) {
    const bool has_to = check.id.starts_with(options.prefix) && (!options.tls || outcomes.contains(&check));
    if (has_to && options.fault_step == 1 && !proven.contains(check.id)) {
      result.checks_unproven.push_back(check.id);
    }
  }
  for (auto& [check, outcome] : outcomes) {
    if (outcome.verdict != reports::Verdict::kPass) {
      result.false_alarms.push_back(std::move(outcome));
    }
  }
  const bool has_forms = !options.extended && !options.tls;  // They have neither.
  for (const Form& form : has_forms ? kForms : std::span<const Form>{}) {
    result.forms.push_back(RunForm(form, options));
  }
  return result;
}

}  // namespace nbdspec::conformance
