package carpe_test

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"carpe"
	"carpe/carpetest"
	"carpe/internal/contract"
	"carpe/log"
	_ "carpe/migration"
)

// Parrot does what it is told.
type Parrot struct {
	Greeting string         `json:"greeting"`
	Limit    int            `json:"limit"`
	Ratio    float64        `json:"ratio,omitempty"`
	More     map[string]int `json:"more,omitzero"`
	ignored  int
}

// Memory is what a parrot remembers.
type Memory struct {
	Count int      `json:"count"`
	Notes []string `json:"notes"`
	Level float64  `json:"level"`
}

func (parrot *Parrot) Check() error {
	if parrot.Limit < 0 {
		return carpe.Failure("`limit` is below 0")
	}
	return nil
}

type told struct {
	Do        string
	Name      string
	In        int64
	Reference string
}

func (parrot *Parrot) OnEvent(event *carpe.Event, memory *Memory, out *carpe.Output) error {
	var told told
	if err := event.Data(&told); err != nil {
		return err
	}
	memory.Count++
	memory.Notes = append(memory.Notes, told.Do)
	switch told.Do {
	case "say":
		out.Moment("said").Why(parrot.Greeting).Subject("who").Data(carpe.Object{"a": 1}).ExpiresIn(time.Second)
	case "timer":
		out.Timer(told.Name).After(time.Duration(told.In) * time.Millisecond)
	case "cancel":
		out.Timer(told.Name).Cancel()
	case "act":
		out.Moment("acted").ActionWithOutcome("go", told.Reference, carpe.Object{"n": 1}).Action("tell", nil)
	case "forget":
		*memory = Memory{}
	case "fail":
		out.Moment("said")
		out.Fail("half of it")
	case "undeclared":
		out.Moment("unheard")
	case "error":
		out.Moment("said").Action("go", nil)
		out.Timer("t").After(0)
		memory.Notes[0] = "overwritten"
		return errors.New("told to")
	case "index":
		out.Moment("said")
		memory.Notes[0] = "overwritten"
		return errors.New(memory.Notes[len(told.Name)+5])
	case "library":
		strings.Repeat("x", -1)
	case "nan":
		memory.Level = math.NaN()
	case "unwritable":
		out.Moment("said").Data(func() {})
	case "latin1":
		out.Moment("said").Why("caf\xe9").Action("tell", "caf\xe9")
	}
	return nil
}

func (parrot *Parrot) OnTimer(timer *carpe.Timer, memory *Memory, out *carpe.Output) error {
	out.Moment("said").Why("timer " + timer.Name()).Data([]carpe.Instant{timer.Time(), timer.Now()})
	return nil
}

func (parrot *Parrot) OnOutcome(outcome *carpe.Outcome, memory *Memory, out *carpe.Output) error {
	var answer struct{ Price int }
	if err := outcome.Answer(&answer); err != nil {
		return err
	}
	out.Moment("said").Why(fmt.Sprint(outcome.Action(), " ", outcome.Reference(), " ", outcome.Status(), " ",
		outcome.Detail(), " ", answer.Price))
	return nil
}

func (parrot *Parrot) Migrate(fromVersion uint32, key string, state []byte) (*Memory, error) {
	var count int
	if _, err := fmt.Sscan(string(state), &count); err != nil {
		return nil, err
	}
	if count < 0 {
		return nil, nil
	}
	return &Memory{Count: count}, nil
}

// The package's one rule. Others take its place for a while: see Another.
var parrot = carpe.Export(&Parrot{Greeting: "hello", Limit: 5}, carpe.Describe("parrot", "1.0.0", "Says what it is told.").
	On("parrot.*").Attribute("id").Attribute("type").
	Moment("said").Moment("acted").Action("go").Action("tell").
	StateVersion(2))

func do(what string, more ...any) carpetest.Event {
	data := carpe.Object{"do": what}
	for position := 0; position < len(more); position += 2 {
		data[more[position].(string)] = more[position+1]
	}
	return carpetest.NewEvent("parrot.told").Subject("k").Data(data)
}

func equal[T any](t *testing.T, got, wanted T) {
	t.Helper()
	if one, other := fmt.Sprintf("%#v", got), fmt.Sprintf("%#v", wanted); one != other {
		t.Fatalf("got    %s\nwanted %s", one, other)
	}
}

func TestMoments(t *testing.T) {
	test := carpetest.New(t, parrot, carpe.Object{"greeting": "grüß dich"})
	moment := test.Send(do("say")).Moments[0]
	equal(t, moment, carpetest.Moment{
		Key: "k", Kind: "said", Why: "grüß dich", Subject: "who", Data: `{"a":1}`,
		Time: carpetest.Start, Expires: carpetest.Start + 1000,
	})
	// What is no Unicode cannot leave as text.
	moment = test.Send(do("latin1")).Moments[0]
	equal(t, []string{moment.Why, moment.Actions[0].Data}, []string{"caf\uFFFD", "\"caf\uFFFD\""})
}

func TestTimers(t *testing.T) {
	test := carpetest.New(t, parrot, carpe.Object{})
	test.Send(do("timer", "name", "b", "in", 10))
	test.Send(do("timer", "name", "a", "in", 10))
	test.Send(do("timer", "name", "c", "in", 5))
	test.Send(do("cancel", "name", "c"))
	if due, isSet := test.Timer("k", "a"); !isSet || due != carpetest.Start+10 {
		t.Fatal(due, isSet)
	}
	if _, isSet := test.Timer("k", "c"); isSet {
		t.Fatal("c was cancelled")
	}
	happened := test.Advance(time.Second)
	data := fmt.Sprintf("[%d,%d]", carpetest.Start+10, carpetest.Start+10)
	for position, why := range []string{"timer a", "timer b"} {
		moment := happened.Moments[position]
		equal(t, []string{moment.Why, moment.Data}, []string{why, data})
	}
	equal(t, test.Now(), carpetest.Start+1000)
	// Already past: at once. Time that an event brings fires what is due before it.
	data = fmt.Sprintf("[%d,%d]", carpetest.Start+995, carpetest.Start+1000)
	equal(t, test.Send(do("timer", "name", "now", "in", -5)).Moments[0].Data, data)
	test.Send(do("timer", "name", "d", "in", 10))
	happened = test.Send(do("say").Subject("other").Time(carpetest.Start + 5000))
	equal(t, []string{happened.Moments[0].Why, happened.Moments[1].Why}, []string{"timer d", "hello"})
}

func TestOutcomes(t *testing.T) {
	test := carpetest.New(t, parrot, carpe.Object{})
	happened := test.Send(do("act", "reference", "r1"))
	actions := happened.Actions()
	equal(t, actions, []carpetest.Action{
		{Key: "k", Name: "go", Reference: "r1", Data: `{"n":1}`}, {Key: "k", Name: "tell", Data: "null"},
	})
	happened = test.AnswerWithDetail(actions[0], carpe.Rejected, carpe.Object{"price": 3}, "no")
	equal(t, happened.Moments[0].Why, "go r1 rejected no 3")
	equal(t, test.Answer(actions[0], carpe.Failed, nil).Failures, []string{"the answer is absent"})
	happened = test.Answer(actions[0], carpe.Failed, carpe.Object{"price": "3"})
	if len(happened.Failures) != 1 || !strings.HasPrefix(happened.Failures[0], "the answer: ") {
		t.Fatal(happened)
	}
}

func TestAFailureUndoesItsInputAlone(t *testing.T) {
	for what, says := range map[string]string{
		"error":      `told to`,
		"index":      `panic: runtime error: index out of range \[5\] with length 2 \(rule_test.go:\d+\)`,
		"library":    `panic: strings: negative Repeat count \(rule_test.go:\d+\)`,
		"nan":        "the state of key `k` cannot be written as JSON: .*NaN",
		"unwritable": "data of moment `said` cannot be written as JSON: .*func\\(\\).*",
	} {
		test := carpetest.New(t, parrot, carpe.Object{})
		test.Send(do("say"))
		before := test.StateText("k")
		happened := test.Send(do(what))
		if len(happened.Failures) != 1 || !regexp.MustCompile("^"+says+"$").MatchString(happened.Failures[0]) {
			t.Fatalf("%s: %q", what, happened.Failures)
		}
		equal(t, happened.Kinds(), []string{})
		equal(t, test.StateText("k"), before)
		if _, isSet := test.Timer("k", "t"); isSet {
			t.Fatal("the timer was set")
		}
	}
}

func TestAPartThatMakesSenseCounts(t *testing.T) {
	test := carpetest.New(t, parrot, carpe.Object{})
	happened := test.Send(do("fail"))
	equal(t, happened.Kinds(), []string{"said"})
	equal(t, happened.Failures, []string{"half of it"})
	equal(t, test.State("k").Count, 1)
}

func TestStatesAreKeptAsJSONAndForgottenWhenZero(t *testing.T) {
	test := carpetest.New(t, parrot, carpe.Object{})
	test.Send(do("say"))
	equal(t, test.StateText("k"), `{"count":1,"notes":["say"],"level":0}`)
	equal(t, test.Keys(), []string{"k"})
	// A field that is missing is zero; one that is gone is ignored.
	test.SetState("k", `{"count":7,"old":1}`)
	equal(t, test.State("k"), Memory{Count: 7})
	test.Send(do("forget"))
	equal(t, test.Keys(), []string(nil))
	test.SetState("k", "{")
	says := test.Send(do("say")).Failures[0]
	if !strings.HasPrefix(says, "the state of key `k` cannot be read: ") || !strings.HasSuffix(says, "migrate it)") {
		t.Fatal(says)
	}
	equal(t, test.StateText("k"), "{")
}

func TestMigration(t *testing.T) {
	test := carpetest.New(t, parrot, carpe.Object{})
	for before, wanted := range map[string]string{"5": `{"count":5,"notes":null,"level":0}`, "0": "", "-1": ""} {
		after, err := test.Migrate(1, "k", before)
		if err != nil || after != wanted {
			t.Fatal(before, after, err)
		}
	}
	if _, err := test.Migrate(1, "k", "x"); err == nil {
		t.Fatal("x is no number")
	}
}

func TestConfigurationErrorsNameTheField(t *testing.T) {
	names := "`greeting`, `limit`, `ratio`, `more`"
	for text, says := range map[string]string{
		`{"limit": -1}`:          "configuration: `limit` is below 0",
		`{"limit": 1.5}`:         "configuration: `limit` is a JSON number 1.5: it must be a whole number",
		`{"limit": "1"}`:         "configuration: `limit` is a JSON string: it must be a whole number",
		`{"limit": null}`:        "configuration: `limit` is null: it must be a value, or not be there",
		`{"more": {"a": "x"}}`:   "configuration: `more.a` is a JSON string: it must be a whole number",
		`{"Limit": 1}`:           "configuration: `Limit` is unknown: there is " + names,
		`{"ignored": 1}`:         "configuration: `ignored` is unknown: there is " + names,
		`[]`:                     "configuration is []: it must be an object",
		`null`:                   "configuration is null: it must be an object",
		`{"limit": 1`:            "configuration is not valid JSON: ",
		`{"limit": 1, "": true}`: "configuration: `` is unknown: there is " + names,
	} {
		_, err := parrot.Start([]byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), says) {
			t.Errorf("%s\ngot    %v\nwanted %s", text, err, says)
		}
	}
	if _, err := parrot.Start([]byte(`{"ratio": 0.5, "more": {"a": 1}}`)); err != nil {
		t.Fatal(err)
	}
	// What an operator says changes no default of the next one.
	if _, err := parrot.Start([]byte(`{"greeting": "other"}`)); err != nil {
		t.Fatal(err)
	}
	equal(t, carpetest.New(t, parrot, carpe.Object{}).Send(do("say")).Moments[0].Why, "hello")
}

// TestCutsIntoBatchesMakeNoDifference tells a rule the same in one batch and one by one.
func TestCutsIntoBatchesMakeNoDifference(t *testing.T) {
	runner, err := parrot.Start([]byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	input := func(place int, key uint32, what string) contract.Input {
		text := fmt.Sprintf(`{"do":%q,"reference":"r"}`, what)
		return contract.Input{
			Key: key, Time: carpe.Instant(place), Now: carpe.Instant(place),
			Event: &contract.Event{Data: contract.Data{Kind: contract.JSON, Bytes: []byte(text)}},
		}
	}
	var inputs []contract.Input
	for place, what := range []string{"say", "act", "index", "nan", "error", "forget", "say", "error", "say", "timer"} {
		inputs = append(inputs, input(place, uint32(place%2), what))
	}
	states := [][]byte{nil, []byte(`{"count":2,"notes":["a"],"level":1.5}`)}
	keys := func() []contract.Keyed {
		return []contract.Keyed{{Name: "k", State: states[0]}, {Name: "k", State: states[1]}}
	}
	whole, err := runner.Handle(contract.Batch{Keys: keys(), Inputs: inputs})
	if err != nil || len(whole.Failures) != 4 {
		t.Fatal(err, whole)
	}
	var moments, failures, timers []string
	for cause, one := range inputs {
		effects, err := runner.Handle(contract.Batch{Keys: keys(), Inputs: []contract.Input{one}})
		if err != nil {
			t.Fatal(err)
		}
		for _, change := range effects.States {
			states[change.Key] = change.State
		}
		for _, moment := range effects.Moments {
			moments = append(moments, fmt.Sprint(cause, moment.Kind, moment.Why, len(moment.Actions)))
		}
		for _, timer := range effects.Timers {
			timers = append(timers, fmt.Sprint(cause, timer.Name, *timer.At))
		}
		for _, failure := range effects.Failures {
			failures = append(failures, fmt.Sprint(cause, failure.Message))
		}
	}
	for place, moment := range whole.Moments {
		equal(t, fmt.Sprint(moment.Cause, moment.Kind, moment.Why, len(moment.Actions)), moments[place])
	}
	for place, timer := range whole.Timers {
		equal(t, fmt.Sprint(timer.Cause, timer.Name, *timer.At), timers[place])
	}
	for place, failure := range whole.Failures {
		equal(t, fmt.Sprint(failure.Input, failure.Message), failures[place])
	}
	for _, change := range whole.States {
		equal(t, string(change.State), string(states[change.Key]))
	}
	equal(t, []int{len(whole.Moments), len(whole.Failures), len(whole.Timers), len(whole.States)},
		[]int{len(moments), len(failures), len(timers), 2})
}

func TestWhatTheHostGivesIsNotTrusted(t *testing.T) {
	runner, _ := parrot.Start([]byte("{}"))
	batch := contract.Batch{
		Keys:   []contract.Keyed{{Name: "k"}},
		Inputs: []contract.Input{{Event: &contract.Event{Subscription: 7}}, {Timer: &contract.Timer{}}},
	}
	effects, err := runner.Handle(batch)
	if err != nil || len(effects.Failures) != 1 || len(effects.Moments) != 1 {
		t.Fatal(effects, err)
	}
	batch.Inputs[1].Key = 1
	if _, err := runner.Handle(batch); err == nil {
		t.Fatal("there is no key 1")
	}
}

func TestLogLinesGoToStandardError(t *testing.T) {
	reading, writing, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	standard := os.Stderr
	os.Stderr = writing
	log.Debug("%d", 1)
	log.Info("ü")
	log.Warn("careful")
	log.Error("%s", "wrong")
	os.Stderr = standard
	writing.Close()
	lines, err := io.ReadAll(reading)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, string(lines), "Debug: 1\nInfo: ü\nWarn: careful\nError: wrong\n")
}

func TestInstants(t *testing.T) {
	equal(t, carpetest.Start.Time().Format(time.RFC3339), "2026-01-01T00:00:00Z")
	equal(t, carpetest.Start.Add(90*time.Second).Sub(carpetest.Start), 90*time.Second)
	equal(t, carpe.Instant(5).Add(-time.Second), 0)
	equal(t, carpe.Instant(math.MaxInt64).Add(math.MaxInt64), carpe.InstantLimit-1)
	equal(t, carpe.Instant(0).Sub(math.MaxInt64) < 0, true)
}

func TestStreak(t *testing.T) {
	var streak carpe.Streak
	lengths := []uint32{}
	for _, holds := range []bool{true, true, false, true} {
		lengths = append(lengths, streak.Of(holds))
	}
	equal(t, lengths, []uint32{1, 2, 0, 1})
	streak = math.MaxUint32
	equal(t, streak.Of(true), math.MaxUint32)
}

func TestKinds(t *testing.T) {
	if !slices.Equal([]string{carpe.Delivered.String(), carpe.Expired.String()}, []string{"delivered", "expired"}) {
		t.Fatal("names of a status")
	}
}
