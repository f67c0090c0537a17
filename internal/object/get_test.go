package object_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aitrail/aitrail/internal/endpoint/sigv4"
	"github.com/aitrail/aitrail/internal/object"
)

// asked is what was asked for: with a signature that holds, by whom, and answered how.
type asked struct {
	next http.Handler
	fail int // status of the first answer; 0: none fails

	mu  sync.Mutex
	log []string
}

func (a *asked) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || strings.Count(r.URL.Path, "/") < 2 {
		a.next.ServeHTTP(w, r)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	who := "sdk"
	if r.UserAgent() == "aitrail" {
		who = "aitrail"
	}
	s, err := sigv4.Parse(r)
	if err == nil {
		_, err = s.Verify(r, nil, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", time.Now())
	}
	switch {
	case err != nil:
		a.log = append(a.log, fmt.Sprint(who, " ", err))
		w.WriteHeader(http.StatusForbidden)
	case a.fail != 0 && len(a.log) == 0:
		a.log = append(a.log, fmt.Sprint(who, " ", a.fail))
		w.WriteHeader(a.fail)
	default:
		a.log = append(a.log, who)
		a.next.ServeHTTP(w, r)
	}
}

// A log file is asked for without the SDK's steps, and by the SDK when anything else comes than the object.
func TestBucketLogFiles(t *testing.T) {
	for name, tt := range map[string]struct {
		key    string
		fail   int
		absent bool
		want   string
	}{
		"log file":            {key: "AWSLogs/111122223333/x.json.gz", want: "aitrail"},
		"unusual name":        {key: "a b/ü+@:$&=,;!*'()~%41.json.gz", want: "aitrail"},
		"other file":          {key: "x.json", want: "sdk"},
		"slow down":           {key: "x.json.gz", fail: 503, want: "aitrail 503, sdk"},
		"denied at first":     {key: "x.json.gz", fail: 403, want: "aitrail 403, sdk"},
		"redirected at first": {key: "x.json.gz", fail: 307, want: "aitrail 307, sdk"},
		"absent":              {key: "y.json.gz", absent: true, want: "aitrail, sdk"},
	} {
		t.Run(name, func(t *testing.T) {
			a := &asked{fail: tt.fail}
			backend := serve(t, func(next http.Handler) http.Handler { a.next = next; return a })
			if !tt.absent {
				meta := map[string]string{"X-Amz-Meta-Signature": "00ff", "Last-Modified": time.Now().UTC().Format(http.TimeFormat)}
				if _, err := backend.PutObject("example-bucket", tt.key, meta, strings.NewReader("content"), 7, nil); err != nil {
					t.Fatal(err)
				}
			}
			body, o, err := openImpatient(t).Open(t.Context(), tt.key)
			if tt.absent {
				if !errors.Is(err, object.ErrNotExist) {
					t.Errorf("%v, want ErrNotExist", err)
				}
			} else if err != nil {
				t.Error(err)
			} else {
				text, err := io.ReadAll(body)
				if err = errors.Join(err, body.Close()); err != nil || string(text) != "content" {
					t.Errorf("%q, %v", text, err)
				}
				if o.Key != tt.key || o.Size != 7 || o.ETag == "" || strings.Contains(o.ETag, `"`) || o.Modified.IsZero() || o.Meta["signature"] != "00ff" {
					t.Errorf("%+v", o)
				}
			}
			if got := strings.Join(a.log, ", "); got != tt.want {
				t.Errorf("asked by %s; want %s", got, tt.want)
			}
		})
	}
}
