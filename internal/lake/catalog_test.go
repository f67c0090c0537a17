//go:build unix

package lake_test

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/glue"
	gluetypes "github.com/aws/aws-sdk-go-v2/service/glue/types"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/aitrail/aitrail/internal/lake"
	"github.com/aitrail/aitrail/internal/lake/laketest"
	"github.com/aitrail/aitrail/internal/object/objecttest"
)

// front is put before a server.
type front func(next http.Handler) http.Handler

// remotes are the places of a lake whose commits no lock keeps apart. Each makes its servers, behind a front if there is
// one, and returns a function that gives URLs of new lakes.
var remotes = map[string]func(*testing.T, front) func() string{
	"bucket": func(t *testing.T, f front) func() string {
		root, n := s3(t, f), 0
		return func() string {
			n++
			return fmt.Sprintf("%s-%d", root, n)
		}
	},
	"glue": func(t *testing.T, f front) func() string {
		root, n := s3(t, f), 0
		return func() string {
			n++
			db := fmt.Sprintf("lake_%d", n)
			laketest.Database(t, db, root+"/"+db+"/")
			return "glue://" + db
		}
	},
	"rest": func(t *testing.T, f front) func() string {
		root, n := s3(t, f), 0
		var handler http.Handler = &laketest.Catalog{}
		if f != nil {
			handler = f(handler)
		}
		server := httptest.NewServer(handler)
		t.Cleanup(server.Close)
		return func() string {
			n++
			return fmt.Sprintf("rest+%s?location=%s/%d&namespace=n%d", server.URL, root, n, n)
		}
	},
}

// TestCatalogErrors says what is wrong with a lake's URL or its catalog.
func TestCatalogErrors(t *testing.T) {
	root := s3(t, nil)
	for _, db := range []string{"empty", "other", "hive"} {
		laketest.Database(t, db, "")
	}
	client := glue.NewFromConfig(laketest.Config(t))
	if _, err := client.CreateTable(ctx, &glue.CreateTableInput{DatabaseName: aws.String("hive"), TableInput: &gluetypes.TableInput{Name: aws.String("events")}}); err != nil {
		t.Fatal(err)
	}
	guarded := httptest.NewServer(&laketest.Catalog{Token: "s3cret"})
	defer guarded.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	commit(t, create(t, "glue://other?location="+root), first...)
	create(t, root+"-files")

	for _, c := range []struct {
		at   string
		is   error
		says string
	}{
		{at: "glue://", says: "glue://DATABASE"},
		{at: "glue://a/b", says: "glue://DATABASE"},
		{at: "glue://missing", is: lake.ErrNoDatabase, says: `"missing"`},
		{at: "glue://empty", says: "?location="},
		{at: "glue://empty?warehouse=s3://b/p", says: `"warehouse"`},
		{at: "glue://empty?location=/tmp/lake", says: "s3://BUCKET/PREFIX"},
		{at: "glue://hive", says: "isn't an Iceberg table"},
		{at: "glue://other?location=s3://lake-bucket/elsewhere", says: "not at s3://lake-bucket/elsewhere"},
		{at: "glue://empty?location=" + root, is: lake.ErrTaken, says: root},
		{at: "glue://empty?location=" + root + "-files", is: lake.ErrTaken, says: "v1.metadata.json"},
		{at: root, is: lake.ErrTaken, says: ".metadata.json"},
		{at: "rest+http://host?location=" + root + "&token=hunter2", says: `"token"`},
		{at: "rest+ftp://host", says: "rest+https://HOST"},
		{at: "rest+" + gone.URL + "?location=" + root, is: lake.ErrCatalog, says: "connection refused"},
		{at: "rest+" + guarded.URL + "?location=" + root, is: lake.ErrDenied, says: "not with these credentials"},
		{at: "rest+http://user:hunter2@host?location=" + root, says: "AITRAIL_CATALOG_TOKEN"},
		{at: "rest+" + guarded.URL + "?locaton=" + root, says: `"locaton"`},
	} {
		l, err := lake.Open(ctx, c.at, lake.Options{Create: true}.WithBackoff(backoff))
		if err == nil {
			l.Close()
			t.Errorf("a lake is made at %s", c.at)
			continue
		}
		if c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", c.at, err)
		}
	}
	if _, err := lake.Open(ctx, "glue://empty", lake.Options{}.WithBackoff(backoff)); !errors.Is(err, lake.ErrNoLake) {
		t.Errorf("Open of an empty database = %v, want ErrNoLake", err)
	}
	t.Setenv("AITRAIL_CATALOG_TOKEN", "s3cret")
	at := "rest+" + guarded.URL + "?namespace=a.b&location=" + root + "/with-token"
	commit(t, create(t, at), first...)
	if state(t, at+"&warehouse=w&scope=s") {
		t.Error("the lake has more than was committed")
	}
}

// TestVersions opens lakes of the first version, which gets the tables and columns that it lacks, and of a later program's.
func TestVersions(t *testing.T) {
	for kind, servers := range remotes {
		t.Run(kind, func(t *testing.T) {
			another := servers(t, nil)
			at := another()
			if err := lake.CreateVersion(ctx, at, 1); err != nil {
				t.Fatal(err)
			}
			for _, table := range lake.Tables() {
				if s, err := open(t, at, lake.Options{ReadOnly: true}).Files(ctx, table); err != nil || s.Rows != 0 {
					t.Errorf("opened for reading an old lake has %s %+v, %v", table, s, err)
				}
			}
			commit(t, create(t, at), first...)
			l := open(t, at, lake.Options{Cache: t.TempDir()})
			commit(t, l, logFile{object: "file:///aggregated", records: []string{aggregated(1, "")}})
			if r := commitInvocations(t, l, "file:///i", 0, 3); r.Invocations != 3 {
				t.Errorf("Commit = %+v", r)
			}
			if _, err := open(t, at, lake.Options{Now: later}).Maintain(ctx, lake.Maintenance{}); err != nil {
				t.Errorf("Maintain: %v", err)
			}
			if got := len(content(t, open(t, at, lake.Options{ReadOnly: true, Cache: t.TempDir()}))); got != 8+1+2+1+1 {
				t.Errorf("%d rows", got)
			}
			at = another()
			if err := lake.CreateVersion(ctx, at, lake.Version+1); err != nil {
				t.Fatal(err)
			}
			var newer *lake.VersionError
			if _, err := lake.Open(ctx, at, lake.Options{}); !errors.As(err, &newer) || newer.Have != lake.Version+1 {
				t.Errorf("Open = %v, want *VersionError", err)
			}
		})
	}
}

// TestMoto keeps a lake in moto's Glue and S3, another implementation of both. moto 5.2.5 updates a table whatever VersionId
// says, so collectors can't race there.
func TestMoto(t *testing.T) {
	path, err := exec.LookPath("moto_server")
	if err != nil {
		t.Skip("SKIPPED: moto_server is missing: lakes in Glue have been tested against this program's own Glue alone")
	}
	cmd := exec.CommandContext(t.Context(), path, "-H", "127.0.0.1", "-p", "0")
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() }) // killed when the test's context ends
	lines := bufio.NewScanner(out)
	var url string
	for url == "" && lines.Scan() {
		url = regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(lines.Text())
	}
	if url == "" {
		t.Fatalf("moto_server ended: %v", lines.Err())
	}
	go func() {
		for lines.Scan() { // its log must not stop it
		}
	}()
	objecttest.NoAWS(t)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "XDG_CACHE_HOME": t.TempDir(),
	} {
		t.Setenv(name, value)
	}
	buckets := awss3.NewFromConfig(laketest.Config(t), func(o *awss3.Options) { o.UsePathStyle = true })
	if _, err := buckets.CreateBucket(ctx, &awss3.CreateBucketInput{Bucket: aws.String("lake-bucket")}); err != nil {
		t.Fatal(err)
	}
	laketest.Database(t, "moto", "")
	lifeOfLake(t, "glue://moto?location=s3://lake-bucket/some/lake")
}

// TestRESTServer keeps lakes in the REST catalog at AITRAIL_REST, whose files go below the URL's location.
func TestRESTServer(t *testing.T) {
	at := os.Getenv("AITRAIL_REST")
	if at == "" {
		t.Skip("SKIPPED: AITRAIL_REST has no URL of an Iceberg REST catalog, rest+http://…?location=…: none but this test's own has been tested")
	}
	n := time.Now().Unix()
	another := func() string {
		n++
		return fmt.Sprintf("%s/%d&namespace=aitrail_%d", at, n, n)
	}
	t.Run("life", func(t *testing.T) { lifeOfLake(t, another()) })
	t.Run("race", func(t *testing.T) { collectorsAtOnce(t, another()) })
	t.Run("once", func(t *testing.T) { exactlyOnce(t, another(), rand.Uint64(), 25) })
}
