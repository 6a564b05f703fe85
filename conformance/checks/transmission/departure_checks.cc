// SPDX-License-Identifier: BSD-3-Clause
// Checks of what stays at a server when its clients have gone, in whatever way. Derived; docs/decisions/0002.
#include <array>

#include "conformance/checks/options/haggling.h"
#include "conformance/checks/transmission/asking.h"

namespace nbdspec::conformance {

namespace {

// --- The ways to go: the session ends with the function ---

using Way = Step (*)(CheckContext& context);

Step BeforeGreeting(CheckContext& context) {
  NBDSPEC_TRY(session, context.Connect());
  return {};
}

Step AfterGreeting(CheckContext& context) {
  NBDSPEC_TRY(session, context.Connect());
  NBDSPEC_TRY(greeting, session.Next());
  return {};
}

// In the middle of a message, `sent_bytes` of which are sent.
Step InMessage(Session& session, const ClientMessage& message, std::size_t sent_bytes) {
  session.SendRaw(ByteView(Encode(message)).first(sent_bytes), "the beginning of " + Describe(message));
  return {};
}

Step InClientFlags(CheckContext& context) {
  NBDSPEC_TRY(session, context.Connect());
  NBDSPEC_TRY(greeting, session.Next());
  return InMessage(session, ClientFlags{}, 2);
}

Step InOption(CheckContext& context) {
  NBDSPEC_TRY(session, context.Greet());
  return InMessage(session, Option{.option = OptionType::kList}, 10);
}

Step InDataOfOption(CheckContext& context) {
  NBDSPEC_TRY(session, context.Greet());
  return InMessage(session, Option{.option = kUnknownOption, .payload = Bytes(1000)}, 200);
}

// Where the server has TLS.
Step InTlsRecord(CheckContext& context) {
  NBDSPEC_TRY(session, context.HagglePlain());
  NBDSPEC_TRY(replies, session.Ask(kStarttls));
  if (IsAcknowledged(replies)) {
    constexpr std::array<std::uint8_t, 4> kHalfHeader = {0x16, 0x03, 0x01, 0x02};  // Of a handshake's record.
    session.SendRaw(kHalfHeader, "half the header of a TLS record");
  }
  return {};
}

Step AfterEntering(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter());
  return {};
}

Step InRequest(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter());
  return InMessage(entered.session, Request{.length = 512}, 14);
}

Step InDataOfWrite(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter());
  const auto scratch = ScratchRange(entered, 1);
  if (!scratch || !context.Offers(kWritable)) {
    return {};
  }
  const Request write = WriteOf(scratch->begin, Bytes(scratch->length()));
  return InMessage(entered.session, write, Encode(ClientMessage(write)).size() / 2);
}

Step WithRepliesUnread(CheckContext& context) {
  constexpr int kReads = 4;
  NBDSPEC_TRY(entered, context.Enter());
  NBDSPEC_TRY(read, FirstRead(entered));
  for (int i = 0; i < kReads; ++i) {
    read.cookie = entered.session.NextCookie();
    entered.session.Send(read);
  }
  return {};
}

Step ByDisc(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter());
  entered.session.Disconnect();
  return {};
}

constexpr std::array<Way, 11> kWays = {BeforeGreeting, AfterGreeting, InClientFlags,    InOption,
                                       InDataOfOption, InTlsRecord,   AfterEntering,    InRequest,
                                       InDataOfWrite,  ByDisc,        WithRepliesUnread};

// --- What they leave ---

using Clock = Transport::Clock;

constexpr int kFirstClients = 100;                     // After which a server has what it keeps in stock.
constexpr int kClientsMax = 450;                       // Of each of the two rounds that follow.
constexpr std::chrono::milliseconds kRoundTime{1200};  // Of each.

// Returns how many have come and gone when there were `count`, or the time was over.
std::expected<int, Judgement> ComeAndGo(CheckContext& context, int count, Clock::time_point until) {
  int gone = 0;
  for (; gone < count && Clock::now() < until; ++gone) {
    const auto went = kWays[static_cast<std::size_t>(gone) % kWays.size()](context);
    if (!went && went.error().kind != Judgement::Kind::kNotApplicable) {
      return Stop(went.error());
    }
  }
  return gone;
}

// What the server uses, and how many clients have gone by then.
struct Mark {
  Usage usage;
  int client_count = 0;
};

// What a server may not use more of from client to client: `more` for each of `clients`.
struct Quantity {
  std::string_view name;
  std::uint64_t Usage::* used;
  std::uint64_t more;
  std::uint64_t clients;

  [[nodiscard]] bool Grew(const Mark& before, const Mark& after) const {
    const std::uint64_t was = before.usage.*used;
    const std::uint64_t is = after.usage.*used;
    const auto client_count = static_cast<std::uint64_t>(after.client_count - before.client_count);
    return is > was && (is - was) * clients >= more * client_count;
  }
};
constexpr std::array<Quantity, 3> kQuantities = {{
    {"descriptors", &Usage::descriptor_count, 1, 20},
    {"threads", &Usage::thread_count, 1, 20},
    {"bytes of memory", &Usage::memory_bytes, 1024, 1},
}};

// Takes the mark after `client_count` clients, in whose place one is there and says nothing: the server has time to be
// rid of the others, and more if it seems to have grown since `before`.
std::expected<Mark, Judgement> TakeMark(CheckContext& context, int client_count, const Mark* before = nullptr) {
  constexpr int kPausesMax = 10;
  NBDSPEC_TRY(session, context.Connect());
  NBDSPEC_TRY(greeting, session.Next());
  Mark mark{.client_count = client_count};
  bool grew = true;
  for (int i = 0; grew && i < kPausesMax; ++i) {
    (void)session.ExpectSilence();
    const auto usage = context.peer.ReadUsage();
    if (!usage) {
      return Stop(NotApplicable("what the server uses cannot be seen"));
    }
    mark.usage = *usage;
    grew = before != nullptr &&
           std::ranges::any_of(kQuantities, [&](const Quantity& quantity) { return quantity.Grew(*before, mark); });
  }
  return mark;
}

// Whether the processor is busy with the server while nobody wants anything of it.
std::expected<bool, Judgement> IsBusy(CheckContext& context) {
  constexpr int kMarks = 3;
  constexpr std::chrono::milliseconds kMuch{150};
  constexpr int kPart = 4;  // Of the time that passes: there may be others.
  const auto begin = Clock::now();
  NBDSPEC_TRY(first, TakeMark(context, 0));
  std::chrono::milliseconds spent{0};
  for (int i = 0; i < kMarks; ++i) {
    NBDSPEC_TRY(later, TakeMark(context, 0));
    spent = later.usage.processor_time - first.usage.processor_time;
  }
  return spent >= kMuch && spent * kPart >= Clock::now() - begin;
}

Judgement NothingStays(CheckContext& context) {
  constexpr std::string_view kAllowed = "a server that is after its clients what it was before them";
  constexpr int kClientsMin = 4 * static_cast<int>(kWays.size());  // Of a round.
  NBDSPEC_TRY(seen, TakeMark(context, 0));                         // Not applicable where nothing can be.
  std::vector<Mark> marks;
  int client_count = 0;
  for (const int clients : {kFirstClients, kClientsMax, kClientsMax}) {
    NBDSPEC_TRY(gone, ComeAndGo(context, clients, Clock::now() + kRoundTime));
    if (gone < kClientsMin) {
      return NotApplicable(fmt::format("in {} ms only {} clients can come and go", kRoundTime.count(), gone));
    }
    client_count += gone;
    NBDSPEC_TRY(mark, TakeMark(context, client_count, marks.empty() ? nullptr : &marks.back()));
    marks.push_back(mark);
  }
  for (const Quantity& quantity : kQuantities) {
    if (quantity.Grew(marks[0], marks[1]) && quantity.Grew(marks[1], marks[2])) {
      return Broken(fmt::format("{} {} after {} clients, {} after {}, {} after {}", marks[0].usage.*quantity.used,
                                quantity.name, marks[0].client_count, marks[1].usage.*quantity.used,
                                marks[1].client_count, marks[2].usage.*quantity.used, marks[2].client_count),
                    kAllowed);
    }
  }
  bool is_busy = true;
  for (int i = 0; is_busy && i < 2; ++i) {
    NBDSPEC_TRY(busy, IsBusy(context));
    is_busy = busy;
  }
  NBDSPEC_TRY(served, AfterEntering(context));
  return Require(!is_busy, fmt::format("the processor is busy when {} clients have gone", client_count), kAllowed);
}

}  // namespace

std::vector<Check> DepartureChecks() {
  return {
      {kSessionDepartedNoGrowth,
       "A thousand clients that come and go, in the middle of anything, leave no descriptors, threads, memory or work.",
       NothingStays},
  };
}

}  // namespace nbdspec::conformance
