package cloudtrail_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/cloudtrail"
)

func logFile(n int) string {
	records := make([]string, n)
	for i := range records {
		records[i] = fmt.Sprintf(`{"eventID":"%d","requestParameters":{"pad":%q}}`, i, strings.Repeat("x", i%3000))
	}
	return `{"Records":[` + strings.Join(records, ",") + `]}`
}

// readAll returns the ids of a log file's events.
func readAll(r io.Reader) (ids []string, err error) {
	reader := cloudtrail.NewReader(r)
	var e cloudtrail.Event
	for {
		switch err := reader.Next(&e); {
		case errors.Is(err, io.EOF):
			return ids, nil
		case err != nil:
			return ids, err
		}
		if reader.Index() != len(ids) {
			return ids, fmt.Errorf("index %d after %d events", reader.Index(), len(ids))
		}
		var again cloudtrail.Event
		if err := again.Decode(reader.Raw()); err != nil || string(again.AppendJSON(nil)) != string(e.AppendJSON(nil)) {
			return ids, fmt.Errorf("raw %q: event %q, want %q: %w", reader.Raw(), e.AppendJSON(nil), again.AppendJSON(nil), err)
		}
		ids = append(ids, e.EventID)
	}
}

func TestReader(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want int
	}{
		"none":            {`{"Records":[]}`, 0},
		"one":             {logFile(1), 1},
		"many":            {logFile(2000), 2000},
		"white space":     {" {\n\"Records\" : [ {} , {} ]\n} \n", 2},
		"other members":   {`{"v":1,"Records":[{}],"x":{"Records":[1]},"y":[]}`, 1},
		"one long record": {`{"Records":[{"requestParameters":"` + strings.Repeat("x", 3<<20) + `"},{}]}`, 2},
	} {
		for readerName, wrap := range map[string]func(io.Reader) io.Reader{
			"whole":  func(r io.Reader) io.Reader { return r },
			"halves": iotest.HalfReader, "with EOF": iotest.DataErrReader,
		} {
			ids, err := readAll(wrap(strings.NewReader(c.in)))
			if err != nil || len(ids) != c.want {
				t.Errorf("%s, %s: %d events, %v, want %d", name, readerName, len(ids), err, c.want)
			}
		}
	}
}

func TestReaderReset(t *testing.T) {
	var r cloudtrail.Reader
	var e cloudtrail.Event
	for _, n := range []int{3, 2000, 0, 1, 700} {
		r.Reset(strings.NewReader(logFile(n)))
		for i := range n {
			if err := r.Next(&e); err != nil || e.EventID != fmt.Sprint(i) || r.Index() != i {
				t.Fatalf("file of %d: event %d is %q, %v", n, i, e.EventID, err)
			}
		}
		if err := r.Next(&e); !errors.Is(err, io.EOF) {
			t.Fatalf("file of %d: %v after the last", n, err)
		}
	}
}

// TestReaderRemembersRight reads records again and again, in files read one after the other, mixed with others that
// differ in little: what a reader remembers of those before must change nothing.
func TestReaderRemembersRight(t *testing.T) {
	records := append([]string{record}, odd...)
	for _, change := range [][2]string{
		{`"userName":"app"}`, `"userName":"apq"}`}, {`"mfaAuthenticated":"false"`, `"mfaAuthenticated":"true"`},
		{`"mfaAuthenticated":"false"}}}`, `"mfaAuthenticated":"false"}},"invokedBy":"x"}`}, {`"IAMUser"`, `"Root"`},
		{`"arn:aws:iam::111122223333:role/app"`, "\"\xff\xfe\""}, {`:role/app"`, `:role/\u0061pp"`}, {`:role/app"`, `:role/é"`},
		{`"accessKeyId"`, `"extraKeyId"`}, {`"accessKeyId":"ASIAEXAMPLE"`, `"accessKeyId":null`},
		{`"accountId":"111122223333","userName"`, `"accountId":"` + strings.Repeat("1", 5000) + `","userName"`},
	} {
		records = append(records, strings.Replace(record, change[0], change[1], 1))
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	var r cloudtrail.Reader
	var e cloudtrail.Event
	for range 20 {
		var in []string
		for range 200 {
			in = append(in, records[rnd.IntN(len(records))])
		}
		r.Reset(strings.NewReader(`{"Records":[` + strings.Join(in, ",") + `]}`))
		for i, want := range in {
			if err := r.Next(&e); err != nil {
				t.Fatalf("record %d: %v", i, err)
			}
			if diff := cmp.Diff(jsonValue(t, []byte(want)), jsonValue(t, e.AppendJSON(nil))); diff != "" {
				t.Fatalf("record %q\n-want +got:\n%s", want, diff)
			}
		}
	}
}

func TestReaderRefuses(t *testing.T) {
	var syntax *cloudtrail.SyntaxError
	isSyntax := func(err error) bool { return errors.As(err, &syntax) }
	is := func(want error) func(error) bool { return func(err error) bool { return errors.Is(err, want) } }
	broken := errors.New("broken disk")
	for name, c := range map[string]struct {
		in   io.Reader
		want func(error) bool
	}{
		"empty":               {strings.NewReader(""), is(io.ErrUnexpectedEOF)},
		"space":               {strings.NewReader(" \n"), is(io.ErrUnexpectedEOF)},
		"an array":            {strings.NewReader(`[{}]`), is(cloudtrail.ErrNotLogFile)},
		"a string":            {strings.NewReader(`"Records"`), is(cloudtrail.ErrNotLogFile)},
		"no Records":          {strings.NewReader(`{"records":[]}`), is(cloudtrail.ErrNotLogFile)},
		"empty object":        {strings.NewReader(`{}`), is(cloudtrail.ErrNotLogFile)},
		"Records null":        {strings.NewReader(`{"Records":null}`), is(cloudtrail.ErrNotLogFile)},
		"no JSON":             {strings.NewReader(`hello`), isSyntax},
		"a record no object":  {strings.NewReader(`{"Records":[1]}`), isSyntax},
		"comma at the end":    {strings.NewReader(`{"Records":[{},]}`), isSyntax},
		"no comma":            {strings.NewReader(`{"Records":[{} {}]}`), isSyntax},
		"two lists":           {strings.NewReader(`{"Records":[],"Records":[{}]}`), isSyntax},
		"data after":          {strings.NewReader(`{"Records":[]}{"Records":[]}`), isSyntax},
		"cut in a record":     {strings.NewReader(logFile(1000)[:40000]), is(io.ErrUnexpectedEOF)},
		"cut before the end":  {strings.NewReader(strings.TrimSuffix(logFile(10), "]}")), is(io.ErrUnexpectedEOF)},
		"cut at the last":     {strings.NewReader(strings.TrimSuffix(logFile(10), "}")), is(io.ErrUnexpectedEOF)},
		"too long a record":   {strings.NewReader(`{"Records":[{"a":"` + strings.Repeat("x", 40<<20)), isSyntax},
		"the reader's error":  {io.MultiReader(strings.NewReader(`{"Records":[{},`), iotest.ErrReader(broken)), is(broken)},
		"error after the end": {io.MultiReader(strings.NewReader(`{"Records":[{}]}`), iotest.ErrReader(broken)), is(broken)},
	} {
		if ids, err := readAll(c.in); !c.want(err) {
			t.Errorf("%s: %d events, error %v", name, len(ids), err)
		}
	}
}

func TestReaderTellsThePlace(t *testing.T) {
	in := `{"Records":[{"eventID":"a"} , {"eventID":"b"}, nonsense]}`
	r := cloudtrail.NewReader(strings.NewReader(in))
	var e cloudtrail.Event
	for range 2 {
		if err := r.Next(&e); err != nil {
			t.Fatal(err)
		}
		if got := in[r.Offset():][:len(r.Raw())]; got != r.Raw() {
			t.Errorf("at offset %d stands %q, want %q", r.Offset(), got, r.Raw())
		}
	}
	var syntax *cloudtrail.SyntaxError
	if err := r.Next(&e); !errors.As(err, &syntax) || syntax.Offset != int64(strings.Index(in, "nonsense")) {
		t.Errorf("got %v, want a SyntaxError at byte %d", err, strings.Index(in, "nonsense"))
	}
}

func FuzzReader(f *testing.F) {
	f.Add(logFile(3))
	f.Add(`{"a":1,"Records":[{},{"x":[1,2]}]} `)
	f.Add(`{"Records":[` + record + "," + record + "," + record + `]}`)
	f.Fuzz(func(t *testing.T, in string) {
		whole, err := readAll(strings.NewReader(in))
		pieces, err2 := readAll(iotest.OneByteReader(strings.NewReader(in)))
		if fmt.Sprint(whole, err) != fmt.Sprint(pieces, err2) {
			t.Errorf("whole: %v %v; in pieces: %v %v", whole, err, pieces, err2)
		}
	})
}

func BenchmarkReader(b *testing.B) {
	in := `{"Records":[` + strings.Repeat(record+",", 499) + record + `]}`
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	var e cloudtrail.Event
	for b.Loop() {
		r := cloudtrail.NewReader(strings.NewReader(in))
		for {
			if err := r.Next(&e); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
	}
}
