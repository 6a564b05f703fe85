// SPDX-License-Identifier: BSD-3-Clause
// The report as a page: the verdict in a sentence, what failed with the exchange drawn, the rest folded.

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include "reports/render/html.h"
#include "reports/render/printable.h"
#include "reports/render/render.h"

namespace nbdspec::reports {
namespace {

constexpr std::size_t kOpenMax = 3;  // So many of the worst are unfolded from the start.

// --- The top ---

// The worst of what failed, in a sentence.
std::string Worst(const Run& run, Anchors anchors) {
  const std::vector<const Outcome*> worst = WorstFirst(run);
  if (worst.empty()) {
    return "";
  }
  const Outcome& outcome = *worst.front();
  const std::string_view what = outcome.verdict == Verdict::kWarn ? "The first warning" : "The worst";
  return fmt::format("<p class=\"headline\">{}: {} <a href=\"#{}\">{}</a></p>\n", what,
                     Html(outcome.statement.empty() ? Reason(outcome) : outcome.statement) + ".",
                     anchors.For(outcome.id), "See how");
}

std::string Facts(const Run& run) {
  std::string out = "<dl class=\"facts\">\n";
  const auto add = [&](std::string_view name, const std::string& html) {
    out += html.empty() ? "" : fmt::format("<dt>{}</dt><dd>{}</dd>\n", name, html);
  };
  add("Outcomes", fmt::format("{}{}", run.outcomes.size(),
                              run.duration_ms > 0 ? fmt::format(" in {} s", Seconds(run.duration_ms, 1)) : ""));
  add("Specification", Html(run.spec));
  for (const auto& [name, value] : run.advertised) {
    add(Html(name), value.empty() ? "-" : HtmlLines(value));
  }
  add("Seed", std::to_string(run.seed));
  return out + "</dl>\n";
}

std::string Top(const Run& run) {
  std::string out = TopOf(run.exit, run.tool + " " + run.version, run.target, ExitLine(run)) + Worst(run, Anchors());
  if (!run.trouble.empty()) {
    out +=
        fmt::format("<p class=\"trouble\"><strong>{}</strong>\n{}</p>\n", TroubleHeading(run), HtmlLines(run.trouble));
  }
  return out + Counts(run) + Facts(run) + "</header>\n";
}

// --- Outcomes ---

std::string InShort(const Outcome& outcome, Anchors& anchors) {
  return fmt::format("<li {}><span class=\"level\">{}</span> <span>{} <code class=\"id\">{}</code></span></li>\n",
                     Attributes(outcome, anchors.For(outcome.id)), Word(outcome.level), Html(outcome.statement),
                     Html(outcome.id));
}

// --- Sections: nothing where there is nothing in them ---

std::string Section(std::string_view title, const std::vector<const Outcome*>& outcomes, std::size_t open_max,
                    Anchors& anchors) {
  if (outcomes.empty()) {
    return "";
  }
  std::string out = fmt::format("<section class=\"holder\">\n{}\n", Heading(title, outcomes.size()));
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    out += Whole(*outcomes[i], anchors.For(outcomes[i]->id), i < open_max, Detail::kAll);
  }
  return out + "</section>\n";
}

std::string Stale(const Run& run) {
  if (run.stale.empty()) {
    return "";
  }
  std::string out =
      fmt::format("<section>\n{}\n<ul class=\"folded\">\n", Heading("No longer as expected", run.stale.size()));
  for (const StaleEntry& entry : run.stale) {
    out += fmt::format("<li><span class=\"level\">{}</span> <span><code>{}</code>: {}</span></li>\n", Html(entry.place),
                       Html(entry.id), Html(entry.why));
  }
  return out +
         "</ul>\n<p class=\"quiet\">Take these entries out, or have <code>nbdspec expected update</code> do it.</p>\n"
         "</section>\n";
}

// Outcomes under what they share, in the order of the run.
using Groups = std::vector<std::pair<std::string, std::vector<const Outcome*>>>;

template <typename Picks, typename Shared>
Groups Grouped(const Run& run, Picks picks, Shared shared_by) {
  Groups groups;
  for (const Outcome& outcome : run.outcomes) {
    if (!picks(outcome)) {
      continue;
    }
    const std::string shared(shared_by(outcome));
    auto found = std::ranges::find(groups, shared, &Groups::value_type::first);
    if (found == groups.end()) {
      found = groups.insert(found, {shared, {}});
    }
    found->second.push_back(&outcome);
  }
  return groups;
}

// Checks under what they share, folded.
std::string FoldedSection(std::string_view title, const Groups& groups, Anchors& anchors) {
  std::size_t count = 0;
  std::string lists;
  for (const auto& [shared, outcomes] : groups) {
    count += outcomes.size();
    lists += "<div class=\"group holder\">\n";
    lists += shared.empty()
                 ? ""
                 : fmt::format("<p>{} <span class=\"quiet count\">{}</span></p>\n", Html(shared), outcomes.size());
    lists += "<ul class=\"folded\">\n";
    for (const Outcome* const outcome : outcomes) {
      lists += InShort(*outcome, anchors);
    }
    lists += "</ul>\n</div>\n";
  }
  return count == 0
             ? ""
             : fmt::format("<section class=\"holder\">\n<details><summary>{}</summary>\n{}</details>\n</section>\n",
                           FoldedHeading(title, count), lists);
}

std::vector<const Outcome*> PointersTo(const std::vector<Outcome>& outcomes) {
  std::vector<const Outcome*> pointers;
  for (const Outcome& outcome : outcomes) {
    pointers.push_back(&outcome);
  }
  return pointers;
}

std::string Main(const Run& run) {
  Anchors anchors;
  std::vector<const Outcome*> failed;
  std::vector<const Outcome*> warned;
  for (const Outcome* const outcome : WorstFirst(run)) {
    (IsFailure(outcome->verdict) ? failed : warned).push_back(outcome);
  }
  std::vector<const Outcome*> expected;
  for (const Outcome& outcome : run.outcomes) {
    if (IsExpected(outcome)) {
      expected.push_back(&outcome);
    }
  }
  const auto are = [](Verdict verdict) { return [verdict](const Outcome& each) { return each.verdict == verdict; }; };
  return "<main id=\"findings\">\n" + Section("What failed", failed, kOpenMax, anchors) + Stale(run) +
         Section("Warnings", warned, failed.empty() ? 1 : 0, anchors) + Section("As expected", expected, 0, anchors) +
         FoldedSection("Not applicable", Grouped(run, are(Verdict::kNotApplicable), Reason), anchors) +
         FoldedSection("Skipped", Grouped(run, are(Verdict::kSkip), Reason), anchors) +
         FoldedSection("Passed", Grouped(run, are(Verdict::kPass), [](const Outcome& each) { return AreaOf(each.id); }),
                       anchors) +
         "</main>\n";
}

}  // namespace

std::string RenderHtml(const Run& run) {
  return Page(fmt::format("{}: {} - {}", ResultOf(run.exit).word, run.target, run.tool),
              Top(run) + Filter(PointersTo(run.outcomes), /*has_several_runs=*/false) + Main(run));
}

}  // namespace nbdspec::reports
