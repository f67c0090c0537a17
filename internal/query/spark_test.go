package query_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/lake"
	"github.com/aitrail/aitrail/internal/lake/laketest"
	"github.com/aitrail/aitrail/internal/query"
)

// sparkServer runs the SQL statements that come as lines of JSON, each with a catalog's properties, and answers with rows and
// their type.
const sparkServer = `
import sys, json, datetime
from pyspark.sql import SparkSession, Row
out = sys.stdout
b = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").config("spark.jars", sys.argv[1])
b = b.config("spark.sql.extensions", "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions")
b = b.config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1")
spark = b.config("spark.sql.session.timeZone", "UTC").config("spark.sql.shuffle.partitions", "2").getOrCreate()
def plain(v):
    if isinstance(v, datetime.datetime):
        return v.isoformat() + "Z"
    if isinstance(v, dict):
        return {k: plain(x) for k, x in v.items()}
    if isinstance(v, list):
        return [plain(x) for x in v]
    return v
for line in sys.stdin:
    ask = json.loads(line)
    try:
        for k, v in ask["conf"].items():
            spark.conf.set(k, v)
        df = spark.sql(ask["sql"])
        answer = {"rows": [plain(r.asDict(recursive=True)) for r in df.collect()], "type": df.schema.simpleString()}
    except Exception as e:
        answer = {"error": str(e)[:4000]}
    out.write("answer " + json.dumps(answer) + "\n")
    out.flush()
`

// spark is a running Spark.
type spark struct {
	t    *testing.T
	in   io.Writer
	out  *bufio.Scanner
	conf map[string]string // of the catalogs made so far
}

// startSpark starts the Spark of the Python at AITRAIL_SPARK with the jars at AITRAIL_SPARK_JARS, comma separated.
func startSpark(t *testing.T) *spark {
	t.Helper()
	python, jars := os.Getenv("AITRAIL_SPARK"), os.Getenv("AITRAIL_SPARK_JARS")
	if python == "" || jars == "" {
		t.Skip("SKIPPED: set AITRAIL_SPARK to a Python that has pyspark, and AITRAIL_SPARK_JARS to iceberg-spark-runtime's jar (and iceberg-aws-bundle's for Glue)")
	}
	cmd := exec.CommandContext(t.Context(), python, "-c", sparkServer, jars)
	cmd.Env = append(os.Environ(), "TZ=UTC")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	s := &spark{t: t, in: in, out: bufio.NewScanner(out), conf: map[string]string{}}
	s.out.Buffer(nil, 64<<20)
	return s
}

// catalog makes a catalog of Spark's, with properties of it.
func (s *spark) catalog(name string, properties ...string) {
	s.conf["spark.sql.catalog."+name] = "org.apache.iceberg.spark.SparkCatalog"
	s.conf["spark.sql.catalog."+name+".cache-enabled"] = "false"
	for i := 0; i+1 < len(properties); i += 2 {
		s.conf["spark.sql.catalog."+name+"."+properties[i]] = properties[i+1]
	}
}

type sparkAnswer struct {
	Rows        []map[string]any
	Type, Error string
}

func (s *spark) sql(t *testing.T, text string, args ...any) sparkAnswer {
	t.Helper()
	ask, err := json.Marshal(map[string]any{"sql": fmt.Sprintf(text, args...), "conf": s.conf})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.in.Write(append(ask, '\n')); err != nil {
		t.Fatal(err)
	}
	for s.out.Scan() {
		if line, ok := strings.CutPrefix(s.out.Text(), "answer "); ok {
			var a sparkAnswer
			if err := json.Unmarshal([]byte(line), &a); err != nil {
				t.Fatal(err)
			}
			if a.Error != "" {
				t.Fatalf("Spark, %s: %s", fmt.Sprintf(text, args...), a.Error)
			}
			return a
		}
	}
	t.Fatalf("Spark has ended: %v", s.out.Err())
	return sparkAnswer{}
}

// agree compares all tables, row by row and type by type, in Spark and in queries.
func (s *spark) agree(t *testing.T, l *lake.Lake, namespace string) {
	t.Helper()
	db := open(t, l, query.Options{})
	for _, table := range lake.Tables() {
		theirs := s.sql(t, "SELECT * FROM %s.%s", namespace, table)
		if want := sparkStruct(lake.Columns(table)); theirs.Type != want {
			t.Errorf("Spark says that %s is %s, want %s", table, theirs.Type, want)
		}
		if table == lake.Invocations || table == lake.Digests { // no views yet
			if files, err := l.Files(ctx, table); err != nil || files.Rows != int64(len(theirs.Rows)) {
				t.Errorf("%d rows of %s, %v; Spark reads %d", files.Rows, table, err, len(theirs.Rows))
			}
			continue
		}
		ours := rowsAsJSON(t, db, "SELECT "+columns(table)+" FROM "+table)
		sorted := func(rows []map[string]any) (texts []string) {
			for _, r := range rows {
				b, err := json.Marshal(r)
				if err != nil {
					t.Fatal(err)
				}
				texts = append(texts, string(b))
			}
			slices.Sort(texts)
			return texts
		}
		if diff := cmp.Diff(sorted(ours), sorted(theirs.Rows)); diff != "" {
			t.Errorf("rows of %s (-aitrail +Spark):\n%s", table, diff)
		}
		// Spark reads columns of plain types alone in another way.
		one := lake.Columns(table)[0].Name
		if flat := s.sql(t, "SELECT DISTINCT `%s` FROM %s.%s", one, namespace, table); len(ours) > 0 && len(flat.Rows) == 0 {
			t.Errorf("Spark finds no %s in %s", one, table)
		}
	}
	n := rowsAsJSON(t, db, "SELECT count(*) AS n FROM events WHERE ai_service = 'bedrock' AND eventTime >= '2026-01-01'")
	few := s.sql(t, "SELECT count(*) AS n FROM %s.events WHERE ai_service = 'bedrock' AND eventTime >= '2026-01-01'", namespace)
	if diff := cmp.Diff(n, few.Rows); diff != "" {
		t.Errorf("events of bedrock by the files' bounds (-aitrail +Spark):\n%s", diff)
	}
}

// sparkStruct is how Spark writes the type of columns.
func sparkStruct(columns []lake.Column) string {
	plain := map[string]string{"timestamptz": "timestamp", "uuid": "string", "long": "bigint", "int": "int", "boolean": "boolean", "string": "string"}
	var fields []string
	for _, c := range columns {
		kind := plain[c.Type]
		switch {
		case len(c.Fields) > 0 && strings.HasPrefix(c.Type, "list"):
			kind = "array<" + sparkStruct(c.Fields) + ">"
		case len(c.Fields) > 0:
			kind = sparkStruct(c.Fields)
		case strings.HasPrefix(c.Type, "list<"):
			kind = "array<" + plain[strings.Trim(strings.TrimPrefix(c.Type, "list"), "<>")] + ">"
		}
		fields = append(fields, c.Name+":"+kind)
	}
	return "struct<" + strings.Join(fields, ",") + ">"
}

// TestSpark reads lakes with Spark and compares each value with what a query says; and goes on with lakes that Spark has
// written to.
func TestSpark(t *testing.T) {
	aws := laketest.Endpoint(t, nil) // Spark has its credentials from the environment
	s := startSpark(t)
	t.Run("folder", func(t *testing.T) {
		warehouse := t.TempDir()
		s.catalog("folder", "type", "hadoop", "warehouse", warehouse)
		s.life(t, filepath.Join(warehouse, "lake"), "folder.lake")
	})
	t.Run("rest", func(t *testing.T) {
		at := os.Getenv("AITRAIL_REST")
		if at == "" {
			t.Skip("SKIPPED: AITRAIL_REST has no URL of an Iceberg REST catalog, rest+http://…?location=…")
		}
		namespace := fmt.Sprintf("spark_%d", time.Now().Unix())
		uri, _, _ := strings.Cut(strings.TrimPrefix(at, "rest+"), "?")
		s.catalog("rest", "type", "rest", "uri", uri)
		s.life(t, at+"/"+namespace+"&namespace="+namespace, "rest."+namespace)
	})
	t.Run("glue", func(t *testing.T) {
		if !strings.Contains(os.Getenv("AITRAIL_SPARK_JARS"), "aws-bundle") {
			t.Skip("SKIPPED: AITRAIL_SPARK_JARS has no iceberg-aws-bundle")
		}
		laketest.Database(t, "aitrail", aws)
		url, catalog := os.Getenv("AWS_ENDPOINT_URL"), "org.apache.iceberg.aws."
		s.catalog("glue", "catalog-impl", catalog+"glue.GlueCatalog", "io-impl", catalog+"s3.S3FileIO", "glue.endpoint", url, "s3.endpoint", url,
			"s3.path-style-access", "true", "client.region", os.Getenv("AWS_DEFAULT_REGION"),
			"s3.access-key-id", os.Getenv("AWS_ACCESS_KEY_ID"), "s3.secret-access-key", os.Getenv("AWS_SECRET_ACCESS_KEY"))
		s.life(t, "glue://aitrail", "glue.aitrail")
	})
	t.Run("old", func(t *testing.T) { s.old(t) })
}

// life reads a lake as collected, maintained, compacted and cut by Spark, and after both wrote to it again.
func (s *spark) life(t *testing.T, at, namespace string) {
	l, err := lake.Open(ctx, at, lake.Options{Create: true, Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	fill(t, l)
	later := func() time.Time { return time.Now().Add(48 * time.Hour) }
	maintain := func() {
		t.Helper()
		other, err := lake.Open(ctx, at, lake.Options{Now: later})
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		if _, err := other.Maintain(ctx, lake.Maintenance{}); err != nil {
			t.Fatal(err)
		}
	}
	events := func() int { return len(rowsAsJSON(t, open(t, l, query.Options{}), "SELECT eventID FROM events")) }
	if events() == 0 {
		t.Fatal("the lake is empty")
	}
	s.agree(t, l, namespace)
	maintain()
	s.agree(t, l, namespace)

	collectMore(t, l, "s3://trail/more-1.json.gz", "SparkOne")
	catalog, rest, _ := strings.Cut(namespace, ".")
	before := events()
	for _, table := range lake.Tables() {
		s.sql(t, "CALL %s.system.rewrite_data_files(table => '%s.%s', options => map('rewrite-all', 'true'))", catalog, rest, table)
	}
	if n := events(); n != before {
		t.Errorf("%d events before Spark compacted, %d after", before, n)
	}
	s.agree(t, l, namespace)
	if r := collectMore(t, l, "s3://trail/more-2.json.gz", "SparkOne"); r.Events != 0 || r.Duplicates != 1 {
		t.Errorf("an event that Spark has written anew is brought again: %+v", r)
	}
	if r := collectMore(t, l, "s3://trail/more-3.json.gz", "SparkTwo"); r.Events != 1 {
		t.Errorf("Commit = %+v", r)
	}
	s.sql(t, "DELETE FROM %s.events WHERE eventName = 'SparkTwo'", namespace)
	s.sql(t, "CALL %s.system.rewrite_manifests('%s.events')", catalog, rest)
	s.sql(t, "CALL %s.system.expire_snapshots(table => '%s.events', older_than => TIMESTAMP '2100-01-01', retain_last => 1)", catalog, rest)
	if n := events(); n != before {
		t.Errorf("%d events after Spark deleted one, want %d", n, before)
	}
	s.agree(t, l, namespace)
	collectMore(t, l, "s3://trail/more-4.json.gz", "SparkThree")
	maintain()
	s.agree(t, l, namespace)
	if n := events(); n != before+1 {
		t.Errorf("%d events at last, want %d", n, before+1)
	}

	// Rows that another program marks as deleted beside the files can't be left out: that must be said.
	s.sql(t, "ALTER TABLE %s.events SET TBLPROPERTIES ('write.delete.mode' = 'merge-on-read')", namespace)
	s.sql(t, "DELETE FROM %s.events WHERE eventName = 'SparkThree'", namespace)
	if _, err := l.Files(ctx, lake.Events); err == nil || !strings.Contains(err.Error(), "row-level deletes") {
		t.Errorf("Files of a table with row-level deletes = %v", err)
	}
	// rewrite_position_delete_files fails: Iceberg 1.10 takes lists for partitions there.
	s.sql(t, "CALL %s.system.rewrite_data_files(table => '%s.events', options => map('rewrite-all', 'true', 'remove-dangling-deletes', 'true', 'use-starting-sequence-number', 'false'))", catalog, rest)
	if n := events(); n != before {
		t.Errorf("%d events after Spark compacted its deletes, want %d", n, before)
	}
	s.agree(t, l, namespace)
}

// collectMore adds a log file with one event, whose id its name makes.
func collectMore(t *testing.T, l *lake.Lake, object, name string) lake.Result {
	t.Helper()
	b := l.NewBatch()
	w := b.File(lake.LogFile{Object: object, Size: 1000})
	var e cloudtrail.Event
	err := e.Decode(fmt.Sprintf(`{"eventVersion":"1.11","eventTime":"2026-11-20T10:00:00Z","eventSource":"bedrock.amazonaws.com","eventName":%q,`+
		`"awsRegion":"us-east-1","eventID":"00000000-0000-4000-9000-%012x","recipientAccountId":"111122223333"}`, name, name[len(name)-2:]))
	if err == nil {
		err = w.Event(&e, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Done(nil); err != nil {
		t.Fatal(err)
	}
	r, err := b.Commit(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// old reads lakes of older versions, brought up to date, and maintained. Other readers know their files at the place where
// they were made.
func (s *spark) old(t *testing.T) {
	lakes, err := filepath.Glob("../lake/testdata/lake-v*")
	if err != nil || len(lakes) == 0 {
		t.Fatalf("no old lakes: %v", err)
	}
	const place = "/tmp/aitrail-fixture"
	s.catalog("old", "type", "hadoop", "warehouse", place)
	for _, old := range lakes {
		dir := filepath.Join(place, filepath.Base(old))
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		if err := os.CopyFS(dir, os.DirFS(old)); err != nil {
			t.Fatal(err)
		}
		l, err := lake.Open(ctx, dir, lake.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		namespace := "old.`" + filepath.Base(old) + "`"
		s.agree(t, l, namespace)
		collectMore(t, l, "s3://trail/more.json.gz", "SparkOne")
		s.agree(t, l, namespace)
		if _, err := l.Maintain(ctx, lake.Maintenance{}); err != nil {
			t.Fatal(err)
		}
		s.agree(t, l, namespace)
	}
}
