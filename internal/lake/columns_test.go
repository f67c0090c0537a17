package lake_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/aitrail/aitrail/internal/lake"
)

// TestFilesAddedAtOnceAreLossless adds log files several at a time, as readers that work in parallel do, ends some of
// them otherwise than well, and compares what the lake gives back: rows of one file must survive that others beside
// them are forgotten, and that rows of several are brought together.
func TestFilesAddedAtOnceAreLossless(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	members := []map[string]json.RawMessage{}
	for _, r := range append([]string{full, record(1), record(2)}, odd...) {
		var m map[string]json.RawMessage
		if err := json.Unmarshal([]byte(r), &m); err != nil {
			t.Fatal(err)
		}
		members = append(members, m)
	}
	n := 0
	random := func() string {
		r := map[string]json.RawMessage{}
		for name, v := range members[rnd.IntN(len(members))] {
			r[name] = v
		}
		if rnd.IntN(2) == 0 { // texts and ids that come again, and others that don't
			r["userIdentity"] = json.RawMessage(fmt.Sprintf(`{"type":"IAMUser","userName":"u%d"}`, rnd.IntN(3000)))
			r["requestParameters"] = json.RawMessage(fmt.Sprintf(`{"n":%d,"pad":%q}`, rnd.IntN(3000), strings.Repeat("x", rnd.IntN(40))))
			r["requestID"] = json.RawMessage(fmt.Sprintf(`"r%x"`, rnd.Uint64()))
			r["eventTime"] = json.RawMessage(fmt.Sprintf(`"2026-11-%02dT12:00:%02dZ"`, 20+rnd.IntN(3), rnd.IntN(60)))
		}
		r["eventID"] = json.RawMessage(fmt.Sprintf(`"0f9b3a4c-1111-4222-8333-%012x"`, n))
		n++
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	l := create(t, t.TempDir())
	b := l.NewBatch()
	want := map[string][]string{}
	type open struct {
		*lake.File
		logFile
	}
	var files []open
	for i := 0; i < 40 || len(files) > 0; i++ {
		for i < 40 && len(files) < 3 {
			object := fmt.Sprintf("file:///%d", i)
			files = append(files, open{b.File(row(object)), logFile{object: object}})
			i++
		}
		for j := range files {
			for range rnd.IntN(120) {
				r := random()
				if err := files[j].Event(decode(t, r), len(files[j].records)); err != nil {
					t.Fatal(err)
				}
				files[j].records = append(files[j].records, r)
			}
		}
		at := rnd.IntN(len(files))
		f := files[at]
		files = append(files[:at], files[at+1:]...)
		var err error
		switch rnd.IntN(4) {
		case 0:
			f.Drop()
		case 1:
			err = f.Quarantine("broken", nil)
		default:
			err = f.Done(nil)
			want[f.object] = f.records
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, s := range stored(t, l, lake.EventFilter{}) {
		records := want[s.Object]
		if s.Index >= int64(len(records)) {
			t.Fatalf("event %d of %s is in the lake, which has %d that count", s.Index, s.Object, len(records))
		}
		sameJSON(t, string(s.Event.AppendJSON(nil)), records[s.Index])
		got[s.Object]++
	}
	for object, records := range want {
		if got[object] != len(records) {
			t.Errorf("%d of %d events of %s", got[object], len(records), object)
		}
	}
	if len(want) == 0 || len(want) == 40 {
		t.Fatalf("%d of 40 log files ended well", len(want))
	}
}

// TestLongTexts writes texts of more than a page, in rows and in lists.
func TestLongTexts(t *testing.T) {
	var records []string
	for n := range 40 {
		long := func(size int) string { return fmt.Sprintf("%d-%s", n, strings.Repeat(string(rune('a'+n%26)), size)) }
		resources := make([]string, n%4)
		for i := range resources {
			resources[i] = fmt.Sprintf(`{"type":"T","ARN":%q}`, long(200<<10+i))
		}
		records = append(records, fmt.Sprintf(`{"eventID":"0f9b3a4c-2222-4222-8333-%012x","eventTime":"2026-11-20T12:00:%02dZ","userIdentity":{"type":"IAMUser","userName":%q},
			"responseElements":{"x":%q},"requestID":%q,"resources":[%s]}`, n, n, long(10), long(300<<10), long(n%3*1000), strings.Join(resources, ",")))
	}
	roundTrip(t, records)
}
