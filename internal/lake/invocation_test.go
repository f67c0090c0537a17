package lake_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/digest"
	"github.com/aitrail/aitrail/internal/lake"
)

// secret stands in prompts and answers: it must be nowhere.
const secret = "the launch code is 0000"

// invocation returns a record of a model invocation log; n makes its request id and its time.
func invocation(n int) string {
	return fmt.Sprintf(`{"schemaType":"ModelInvocationLog","schemaVersion":"1.0","timestamp":%q,"accountId":"111122223333",`+
		`"identity":{"arn":"arn:aws:iam::111122223333:user/ana"},"region":"us-east-1","requestId":"r%d","operation":"Converse",`+
		`"modelId":"us.amazon.nova-lite-v1:0","input":{"inputContentType":"application/json","inputBodyJson":{"messages":[{"role":"user","content":[{"text":%q}]}]},`+
		`"inputTokenCount":%d,"cacheReadInputTokenCount":3,"cacheWriteInputTokenCount":0},"output":{"outputContentType":"application/json","outputBodyJson":{"output":`+
		`{"message":{"role":"assistant","content":[{"text":%q}]}},"stopReason":"end_turn","metrics":{"latencyMs":42}},"outputTokenCount":7},"inferenceRegion":"us-west-2"}`,
		noon.Add(time.Duration(n)*time.Second).Format(time.RFC3339), n, secret, n, secret)
}

// addInvocations adds a log file of invocations to a batch.
func addInvocations(t testing.TB, b *lake.Batch, row lake.LogFile, from, to int, keep bool) error {
	t.Helper()
	row.Kind = cloudtrail.KindInvocations
	w := b.File(row)
	for n := from; n < to; n++ {
		var v cloudtrail.Invocation
		if err := v.Decode([]byte(invocation(n))); err != nil {
			t.Fatal(err)
		}
		if err := w.Invocation(&v, n-from, keep); err != nil {
			w.Drop()
			return err
		}
	}
	return w.Done(nil)
}

func commitInvocations(t testing.TB, l *lake.Lake, object string, from, to int) lake.Result {
	t.Helper()
	b := l.NewBatch()
	if err := addInvocations(t, b, row(object), from, to, false); err != nil {
		t.Fatal(err)
	}
	r, err := b.Commit(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// digestText is a digest that names n log files; it ends an hour times end after noon.
func digestText(end, n int) []byte {
	d := &digest.Digest{
		AWSAccountID: "111122223333", DigestStartTime: digest.FormatTime(noon.Add(time.Duration(end-1) * time.Hour)),
		DigestEndTime: digest.FormatTime(noon.Add(time.Duration(end) * time.Hour)), DigestS3Bucket: "b",
		DigestS3Object:             fmt.Sprintf("AWSLogs/111122223333/CloudTrail-Digest/us-east-1/2026/11/20/111122223333_CloudTrail-Digest_us-east-1_main_us-east-1_%s.json.gz", noon.Add(time.Duration(end)*time.Hour).Format("20060102T150405Z")),
		DigestPublicKeyFingerprint: "fp", NewestEventTime: "2026-11-20T11:59:00Z", OldestEventTime: "2026-11-20T11:01:00Z",
	}
	if end > 0 {
		d.PreviousDigestS3Bucket, d.PreviousDigestS3Object, d.PreviousDigestHashValue, d.PreviousDigestSignature = "b", "before", "aa", "bb"
	}
	for i := range n {
		d.LogFiles = append(d.LogFiles, digest.LogFile{S3Bucket: "b", S3Object: fmt.Sprintf("log-%d-%d", end, i), HashValue: fmt.Sprintf("%02x", i)})
	}
	return digest.Encode(d)
}

func addDigest(b *lake.Batch, row lake.LogFile, text []byte) error {
	row.Kind = cloudtrail.KindDigest
	w := b.File(row)
	if err := w.Digest(text, map[string]string{"signature": "cc"}); err != nil {
		w.Drop()
		return err
	}
	return w.Done(nil)
}

// rowsOf reads all rows of a table, in the order of its files.
func rowsOf(t testing.TB, l *lake.Lake, table string) []map[string]any {
	t.Helper()
	s, err := l.Files(ctx, table)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Fetch(ctx, s.Files); err != nil {
		t.Fatal(err)
	}
	var rows []map[string]any
	for _, f := range s.Files {
		rows = append(rows, parquetRows(t, f.Local)...)
	}
	if int64(len(rows)) != s.Rows {
		t.Errorf("%d rows of %s, and its files say %d", len(rows), table, s.Rows)
	}
	return rows
}

func requests(rows []map[string]any) map[string]int {
	n := map[string]int{}
	for _, r := range rows {
		n[fmt.Sprint(r["request_id"])]++
	}
	return n
}

// TestInvocations brings invocations twice, in one batch and in two: each is a row, once, and no byte of a prompt is anywhere.
func TestInvocations(t *testing.T) {
	dir := t.TempDir()
	l := create(t, dir)
	b := l.NewBatch()
	add(t, b, numbered("file:///events", 0, 3))
	for i, span := range [][2]int{{0, 5}, {3, 8}, {90_000, 90_002}} {
		if err := addInvocations(t, b, row(fmt.Sprintf("file:///i%d", i)), span[0], span[1], false); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := b.Commit(ctx); err != nil || r.Events != 3 || r.Invocations != 10 || r.Duplicates != 2 || r.Files != 4 {
		t.Errorf("Commit = %+v, %v", r, err)
	}
	if r := commitInvocations(t, open(t, dir, lake.Options{}), "file:///again", 6, 12); r.Invocations != 4 || r.Duplicates != 2 {
		t.Errorf("Commit = %+v", r)
	}
	for _, when := range []string{"collected", "compacted"} {
		rows := rowsOf(t, l, lake.Invocations)
		if n := requests(rows); len(n) != 14 || len(rows) != 14 {
			t.Errorf("%s: requests %v", when, n)
		}
		for _, r := range rows {
			if r["request_id"] != "r4" {
				continue
			}
			want := map[string]any{
				"request_id": "r4", "account": "111122223333", "time": noon.Add(4 * time.Second).UnixMicro(), "region": "us-east-1",
				"caller_arn": "arn:aws:iam::111122223333:user/ana", "operation": "Converse", "called_model": "us.amazon.nova-lite-v1:0",
				"model_id": "amazon.nova-lite-v1:0", "inference_region": "us-west-2", "input_tokens": int64(4), "output_tokens": int64(7),
				"cache_read_tokens": int64(3), "cache_write_tokens": int64(0), "latency_ms": int64(42), "stop_reason": "end_turn",
				"source_object": "file:///i0", "source_index": int64(4),
			}
			if diff := cmp.Diff(want, r); diff != "" {
				t.Errorf("%s: (-want +got)\n%s", when, diff)
			}
		}
		s, err := l.Files(ctx, lake.Invocations)
		if err != nil || len(s.Files) < 2 || !s.Files[0].Day.Equal(noon.Truncate(24*time.Hour)) || !s.Files[0].First.Equal(noon) || !s.Files[0].Whole {
			t.Errorf("%s: files %+v, %v", when, s.Files, err)
		}
		if _, err := l.Maintain(ctx, lake.Maintenance{}); err != nil {
			t.Fatal(err)
		}
		if s, err = l.Files(ctx, lake.Invocations); err != nil || len(s.Files) != 2 {
			t.Errorf("%d files after maintenance, %v; want one a day", len(s.Files), err)
		}
	}
	nowhere(t, dir)
}

// nowhere looks for secrets in a lake's files, as they are and inflated.
func nowhere(t *testing.T, dir string) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		n++
		b, err := os.ReadFile(name)
		if strings.Contains(string(b), secret) {
			t.Errorf("%s has a prompt", name)
		}
		if filepath.Ext(name) == ".parquet" {
			for _, r := range parquetRows(t, name) {
				if strings.Contains(fmt.Sprint(r), secret) {
					t.Errorf("%s has a prompt: %v", name, r)
				}
			}
		}
		return err
	})
	if err != nil || n < 10 {
		t.Errorf("%d files, %v", n, err)
	}
}

// TestPromptsKept keeps prompts where that is asked for.
func TestPromptsKept(t *testing.T) {
	l := create(t, t.TempDir())
	b := l.NewBatch()
	if err := addInvocations(t, b, row("file:///i"), 0, 2, true); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	for _, r := range rowsOf(t, l, lake.Invocations) {
		if !strings.Contains(fmt.Sprint(r["input_body"]), secret) || !strings.Contains(fmt.Sprint(r["output_body"]), secret) {
			t.Errorf("row %v has no prompt or no answer", r)
		}
	}
}

// TestDigests brings digests of which one is broken, and two are there already.
func TestDigests(t *testing.T) {
	dir := t.TempDir()
	l := create(t, dir)
	b := l.NewBatch()
	for n := range 3 {
		if err := addDigest(b, row(fmt.Sprintf("s3://b/d%d", n)), digestText(n, n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := addDigest(b, row("s3://b/broken"), []byte(`{"digestStartTime":1}`)); !errors.Is(err, digest.ErrFormat) {
		t.Errorf("a broken digest is added: %v", err)
	}
	if r, err := b.Commit(ctx); err != nil || r.Digests != 3 || r.Files != 0 || r.Events != 0 {
		t.Errorf("Commit = %+v, %v", r, err)
	}
	if have, err := l.Collected(ctx, "s3://b/d1", 100, "e"); err != nil || !have {
		t.Errorf("Collected = %v, %v", have, err)
	}
	again := open(t, dir, lake.Options{}).NewBatch()
	for n := 1; n < 4; n++ {
		if err := addDigest(again, row(fmt.Sprintf("s3://b/d%d", n)), digestText(n, n)); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := again.Commit(ctx); err != nil || r.Digests != 1 || r.Skipped != 0 {
		t.Errorf("Commit = %+v, %v", r, err)
	}
	if n, err := l.SetVerdicts(ctx, []lake.Verdict{{Object: "s3://b/d1", Verdict: lake.VerdictVerified}}); n != 1 || err != nil {
		t.Errorf("SetVerdicts = %d, %v", n, err)
	}
	for range 2 {
		rows := rowsOf(t, l, lake.Digests)
		if len(rows) != 4 {
			t.Fatalf("%d digests", len(rows))
		}
		r := rows[2]
		for column, want := range map[string]any{
			"object": "s3://b/d2", "account": "111122223333", "region": "us-east-1", "trail": "main", "home_region": "us-east-1", "backfill": false,
			"start_time": noon.Add(time.Hour).UnixMicro(), "end_time": noon.Add(2 * time.Hour).UnixMicro(), "signature": "cc", "key_fingerprint": "fp",
			"previous_object": "s3://b/before", "previous_sha256": "aa", "previous_signature": "bb", "log_file_count": int64(2),
			"oldest_event": noon.Add(-59 * time.Minute).UnixMicro(), "newest_event": noon.Add(-time.Minute).UnixMicro(),
			"log_files": []any{map[string]any{"object": "s3://b/log-2-0", "sha256": "00"}, map[string]any{"object": "s3://b/log-2-1", "sha256": "01"}},
		} {
			if !reflect.DeepEqual(r[column], want) {
				t.Errorf("%s = %v, want %v", column, r[column], want)
			}
		}
		if _, err := l.Maintain(ctx, lake.Maintenance{}); err != nil {
			t.Fatal(err)
		}
	}
	if f := logFiles(t, l)["s3://b/d1"]; f.Kind != cloudtrail.KindDigest || f.Verdict != lake.VerdictVerified {
		t.Errorf("its row in log_files = %+v", f)
	}
}

// TestRetentionOfSideTables expires invocations by day, as events or as said, and digests with log_files.
func TestRetentionOfSideTables(t *testing.T) {
	l := create(t, t.TempDir())
	b := l.NewBatch()
	for i, day := range []int{-400, -40, 0} {
		if err := addInvocations(t, b, row(fmt.Sprintf("file:///i%d", i)), day*86400, day*86400+2, false); err != nil {
			t.Fatal(err)
		}
		if err := addDigest(b, row(fmt.Sprintf("file:///d%d", i)), digestText(24*day, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		keep                 lake.Retention
		invocations, digests int64
	}{
		{lake.Retention{lake.Events: 100}, 4, 3},
		{lake.Retention{lake.Invocations: 30}, 2, 3},
		{lake.Retention{lake.LogFiles: 365}, 2, 2},
	} {
		if err := l.SetRetention(ctx, step.keep); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Maintain(ctx, lake.Maintenance{}); err != nil {
			t.Fatal(err)
		}
		for table, want := range map[string]int64{lake.Invocations: step.invocations, lake.Digests: step.digests} {
			if s, err := l.Files(ctx, table); err != nil || s.Rows != want {
				t.Errorf("%v: %d rows of %s, %v; want %d", step.keep, s.Rows, table, err, want)
			}
		}
	}
	if r, err := l.Retention(); err != nil || !reflect.DeepEqual(r, lake.Retention{lake.Events: 100, lake.Invocations: 30, lake.LogFiles: 365}) {
		t.Errorf("Retention = %v, %v", r, err)
	}
}

// parquetRows reads a Parquet file by its own schema; what is null isn't in a row.
func parquetRows(t testing.TB, name string) (rows []map[string]any) {
	t.Helper()
	read, err := parquet.ReadFile[any](name)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range read {
		rows = append(rows, plain(r).(map[string]any))
	}
	return rows
}

// plain gives lists their elements, and drops what is null.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if list, ok := v["list"]; ok && len(v) == 1 {
			var elements []any
			for _, e := range list.([]any) {
				elements = append(elements, plain(e.(map[string]any)["element"]))
			}
			return elements
		}
		for name, member := range v {
			if v[name] = plain(member); v[name] == nil {
				delete(v, name)
			}
		}
		return v
	case []byte:
		return string(v)
	case time.Time:
		return v.UnixMicro()
	}
	return v
}
