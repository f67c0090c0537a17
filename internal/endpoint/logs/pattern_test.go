package logs_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/aitrail/aitrail/internal/endpoint/logs"
)

func TestPatterns(t *testing.T) {
	const call = `{"eventName":"InvokeModel","errorCode":"AccessDenied","n":5,"deep":{"a":"b"},"ok":true,"no":null}`
	for _, c := range []struct {
		pattern, message string
		want             bool
	}{
		{"", "anything", true},
		{"  ", "anything", true},
		{"ERROR", "an ERROR here", true},
		{"ERROR", "an error here", false},
		{"ERROR timeout", "timeout, then ERROR", true},
		{"ERROR timeout", "ERROR", false},
		{`"an ERROR"`, "an ERROR here", true},
		{`"an ERROR"`, "ERROR an", false},
		{`"say \"x\""`, `they say "x"`, true},
		{"?ERROR ?WARN", "WARN", true},
		{"?ERROR ?WARN", "INFO", false},
		{"ERROR -Exiting", "ERROR", true},
		{"ERROR -Exiting", "ERROR Exiting", false},
		{`{ $.eventName = "InvokeModel" }`, call, true},
		{`{$.eventName="InvokeModel"}`, call, true},
		{`{ $.eventName = InvokeModel }`, call, true},
		{`{ $.eventName = "Invoke*" }`, call, true},
		{`{ $.eventName = "*ke*el" }`, call, true},
		{`{ $.eventName = "Invoke" }`, call, false},
		{`{ $.eventName != "Invoke" }`, call, true},
		{`{ $.eventName != "InvokeModel" }`, call, false},
		{`{ $.missing != "x" }`, call, false},
		{`{ $.deep.a = "b" }`, call, true},
		{`{ $.deep.a.c = "b" }`, call, false},
		{`{ $.n = 5 }`, call, true},
		{`{ $.n != 5 }`, call, false},
		{`{ $.n > 4 }`, call, true},
		{`{ $.n >= 5 && $.n <= 5 }`, call, true},
		{`{ $.n < 5 }`, call, false},
		{`{ $.n = "5" }`, call, false},
		{`{ $.ok IS TRUE }`, call, true},
		{`{ $.ok IS FALSE }`, call, false},
		{`{ $.no IS NULL }`, call, true},
		{`{ $.missing IS NULL }`, call, false},
		{`{ $.missing NOT EXISTS }`, call, true},
		{`{ $.no NOT EXISTS }`, call, false},
		{`{ $.no EXISTS }`, call, true},
		{`{ ($.eventName = "X") || ($.errorCode = "*Denied*") }`, call, true},
		{`{ $.eventName = "X" || $.n = 5 && $.n = 6 }`, call, false},
		{`{ ($.eventName = "InvokeModel" || $.n = 1) && $.n = 6 }`, call, false},
		{`{ $.eventName = "InvokeModel" }`, `eventName = InvokeModel`, false},
		{`{ $.eventName != "x" }`, `[1]`, false},
	} {
		test, err := logs.ParsePattern(c.pattern)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
			continue
		}
		if got := test(c.message); got != c.want {
			t.Errorf("%s of %s: %v; want %v", c.pattern, c.message, got, c.want)
		}
	}
	for _, p := range []string{
		`[ip, user]`, `%regex%`, `{ $.a = "b"`, `{ $.a }`, `{ a = "b" }`, `{ $.a = }`, `{ $.a = %x% }`, `{ $.a[0] = "b" }`,
		`{ ($.a = "b" }`, `{ $.a = "b" $.c = "d" }`, `{ $.a > "b" }`, `{ $.a = "b }`, `"open`, `?`, `""`, `{ $..a = 1 }`, `{}`,
	} {
		if _, err := logs.ParsePattern(p); err == nil {
			t.Errorf("%s is taken", p)
		}
	}
}

func FuzzPattern(f *testing.F) {
	f.Add(`{ ($.a = "b*") && ($.n >= 5 || $.c NOT EXISTS) }`, `{"a":"bc","n":5}`)
	f.Add(`?ERROR -x "a b"`, `a b`)
	f.Fuzz(func(_ *testing.T, pattern, message string) {
		if test, err := logs.ParsePattern(pattern); err == nil {
			test(message)
		}
	})
}

// A comparison with the text that stands in a message holds.
func FuzzEquals(f *testing.F) {
	f.Add("InvokeModel")
	f.Add(`a "quoted" \ text`)
	f.Fuzz(func(t *testing.T, text string) {
		message, err := json.Marshal(map[string]string{"a": text})
		if err != nil {
			t.Skip()
		}
		var back map[string]string
		if json.Unmarshal(message, &back) != nil || len(text) > 400 {
			t.Skip()
		}
		pattern := fmt.Sprintf(`{ $.a = %s }`, logs.Quote(back["a"]))
		test, err := logs.ParsePattern(pattern)
		if err != nil {
			t.Fatalf("%s: %v", pattern, err)
		}
		if !test(string(message)) {
			t.Errorf("%s doesn't match %s", pattern, message)
		}
	})
}
