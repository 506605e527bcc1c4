package carpe_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"carpe"
	"carpe/carpetest"
)

// Looking calls a function with each event.
type Looking struct {
	look func(event *carpe.Event) any
}

// Nothing is remembered.
type Nothing struct{}

func (rule Looking) OnEvent(event *carpe.Event, _ *Nothing, out *carpe.Output) error {
	out.Moment("saw").Data(rule.look(event))
	return nil
}

func looking(t *testing.T, about *carpe.About, look func(event *carpe.Event) any) *carpetest.RuleTest[Nothing] {
	t.Helper()
	t.Cleanup(carpe.Another(false))
	return carpetest.New(t, carpe.Export(Looking{look}, about.Moment("saw")), carpe.Object{})
}

func about() *carpe.About {
	return carpe.Describe("looking", "1.0.0", "Looks.")
}

func TestValuesOfAnEvent(t *testing.T) {
	said := func(value any, err error) string {
		if err != nil {
			return err.Error()
		}
		return fmt.Sprint(value)
	}
	test := looking(t, about().On("look").Attribute("id"), func(event *carpe.Event) any {
		number := func(at string) string { value, err := event.Number(at); return said(value, err) }
		integer := func(at string) string { value, err := event.Integer(at); return said(value, err) }
		text := func(at string) string { value, err := event.Text(at); return said(value, err) }
		truth := func(at string) string { value, err := event.Bool(at); return said(value, err) }
		value := func(at string) string { value, err := event.Value(at); return said(string(value), err) }
		attribute := func(name string) string { value, err := event.Attribute(name); return said(value, err) }
		var data struct{ S int }
		return []string{
			number("/n"), number("/i"), number("/s"), number("/huge"), number("/zz"),
			integer("/i"), integer("/n"), integer("/big"), text("/s"), text("/i"), text("/long"), truth("/b"), truth("/s"),
			value("/list/1"), value("/null"), value("/zz"), value("/list/01"), value("list"),
			attribute("id"), attribute("source"), said(nil, event.Data(&data)),
		}
	})
	data := ` {"n":2.5,"i":-7,"s":"ä","b":true,"list":[1,{"x":[]}],"null":null,"huge":1e999,"big":18446744073709551616,"long":[` +
		strings.Repeat("1,", 50) + `1]} `
	var seen []string
	moment := test.Send(carpetest.NewEvent("look").Subject("k").JSON(data)).Moments[0]
	if err := json.Unmarshal([]byte(moment.Data), &seen); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(seen[len(seen)-1], "the event's data: ") {
		t.Fatal(seen[len(seen)-1])
	}
	equal(t, seen[:len(seen)-1], []string{
		"2.5", "-7",
		"the event's data has \"ä\" at `/s`, where a number should be",
		"the event's data has 1e999 at `/huge`, where a number should be",
		"the event's data has nothing at `/zz`, where a number should be",
		"-7",
		"the event's data has 2.5 at `/n`, where a whole number should be",
		"the event's data has 18446744073709551616 at `/big`, where a whole number should be",
		"ä",
		"the event's data has -7 at `/i`, where a string should be",
		"the event's data has [" + strings.Repeat("1,", 19) + "1 at `/long`, where a string should be",
		"true",
		"the event's data has \"ä\" at `/s`, where true or false should be",
		`{"x":[]}`, "", "", "", "",
		"the event has no attribute `id`",
		"attribute `source` is not asked for: add `.Attribute(\"source\")` to the rule's description",
	})
}

func TestDataThatIsNone(t *testing.T) {
	test := looking(t, about().On("look"), func(event *carpe.Event) any {
		_, err := event.Number("/a")
		return []any{err.Error(), len(event.Binary())}
	})
	event := carpetest.NewEvent("look").Subject("k")
	for _, one := range []struct {
		event carpetest.Event
		says  string
	}{
		{event, "[\"the event's data is absent\",0]"},
		{event.Binary([]byte{1, 2}), "[\"the event's data is not JSON\",2]"},
		{event.JSON("{"), "[\"the event's data is not valid JSON: "},
		{event.JSON(`{"a":1} x`), "[\"the event's data is not valid JSON: "},
		{event.JSON(""), "[\"the event's data is not valid JSON: "},
	} {
		if data := test.Send(one.event).Moments[0].Data; !strings.HasPrefix(data, one.says) {
			t.Errorf("%s\nis not %s", data, one.says)
		}
	}
}

func TestDataIsAsDeepAsInOtherLanguages(t *testing.T) {
	test := looking(t, about().On("look"), func(event *carpe.Event) any {
		var data any
		return event.Data(&data) == nil
	})
	nested := func(depth int) string {
		return strings.Repeat(`{"[\"[":[`, depth/2) + strings.Repeat("[", depth%2) +
			strings.Repeat("]", depth%2) + strings.Repeat("]}", depth/2)
	}
	for text, wanted := range map[string]string{
		nested(127): "true", nested(128): "false", nested(100_000): "false",
		"[" + nested(120) + "," + nested(120) + `,"` + strings.Repeat("[", 200) + `"]`: "true",
	} {
		got := test.Send(carpetest.NewEvent("look").Subject("k").JSON(text)).Moments[0].Data
		equal(t, got, wanted)
	}
}

func TestKeysAndSubscriptions(t *testing.T) {
	description := about().On("a").On("b*").KeyedByData("/about/id").On("c").KeyedByNothing().
		On("d").KeyedByAttribute("source").On("a").KeyedByNothing()
	test := looking(t, description, func(event *carpe.Event) any {
		return []any{event.Kind(), event.Subscription(), event.Key()}
	})
	send := func(event carpetest.Event) string {
		t.Helper()
		data := ""
		for _, moment := range test.Send(event).Moments {
			data += moment.Data
		}
		return data
	}
	equal(t, send(carpetest.NewEvent("a").Subject("s")), `["a",0,"s"]["a",4,""]`)
	for id, key := range map[string]string{
		`"x"`: "x", "1": "1", "1.0": "1", "1e2": "100", "-5": "-5", "1e20": "1" + strings.Repeat("0", 20),
	} {
		event := carpetest.NewEvent("bc").JSON(`{"about":{"id":` + id + `}}`)
		equal(t, send(event), fmt.Sprintf(`["bc",1,%q]`, key))
	}
	equal(t, send(carpetest.NewEvent("c")), `["c",2,""]`)
	equal(t, send(carpetest.NewEvent("d").Attribute("source", "/x")), `["d",3,"/x"]`)
	equal(t, test.Keys(), []string(nil))
}

func TestWhatTheHostWouldRefuseFailsTheTest(t *testing.T) {
	for what, give := range map[string]func(test *carpetest.RuleTest[Memory]){
		"moment `unheard` is not declared": func(test *carpetest.RuleTest[Memory]) { test.Send(do("undeclared")) },
		"no subscription takes this event": func(test *carpetest.RuleTest[Memory]) {
			test.Send(carpetest.NewEvent("cat.told").Subject("k"))
		},
		"or it has not the key": func(test *carpetest.RuleTest[Memory]) { test.Send(carpetest.NewEvent("parrot.told")) },
		"below 2^53":            func(test *carpetest.RuleTest[Memory]) { test.Send(do("say").Time(carpe.InstantLimit)) },
		"has no reference": func(test *carpetest.RuleTest[Memory]) {
			test.Answer(carpetest.Action{Name: "tell"}, carpe.Delivered, nil)
		},
	} {
		failing := &failing{TB: t}
		func() {
			defer func() { _ = recover() }()
			give(carpetest.New(failing, parrot, carpe.Object{}))
		}()
		if !strings.Contains(failing.said, what) {
			t.Errorf("%q is not in %q", what, failing.said)
		}
	}
}

// failing notes how a test fails, and ends it.
type failing struct {
	testing.TB
	said string
}

func (test *failing) Fatalf(format string, values ...any) {
	test.said = fmt.Sprintf(format, values...)
	panic(test)
}

type wrongTimer struct{ Looking }

func (wrongTimer) OnTimer(timer *carpe.Timer, _ *Memory, out *carpe.Output) error { return nil }

type wrongCheck struct{ Looking }

func (wrongCheck) Check() {}

type hidden struct{ count int }

type hiding struct{}

func (hiding) OnEvent(_ *carpe.Event, state *hidden, _ *carpe.Output) error {
	state.count++
	return nil
}

func TestWhatIsNoRuleIsRefusedWhenItIsExported(t *testing.T) {
	for what, export := range map[string]func(){
		"OnTimer of carpe_test.wrongTimer has not the signature": func() { carpe.Export(wrongTimer{}, about()) },
		"Check of carpe_test.wrongCheck has not the signature":   func() { carpe.Export(wrongCheck{}, about()) },
		"`count` of the state carpe_test.hidden":                 func() { carpe.Export(hiding{}, about()) },
		"import _ \"carpe/migration\"":                           func() { carpe.Export(&Parrot{}, about()) },
		"exports two rules": func() {
			carpe.Export(Looking{}, about())
			carpe.Export(Looking{}, about())
		},
		"begin with On": func() { about().Filter("a") },
		"the schema of": func() { about().Settings(func() {}) },
	} {
		back := carpe.Another(false)
		func() {
			defer func() {
				if said := fmt.Sprint(recover()); !strings.Contains(said, what) {
					t.Errorf("%q is not in %q", what, said)
				}
			}()
			export()
		}()
		back()
	}
	t.Cleanup(carpe.Another(true))
	defer func() {
		if said := fmt.Sprint(recover()); !strings.Contains(said, "has no method Migrate") {
			t.Error(said)
		}
	}()
	carpe.Export(Looking{}, about())
}
