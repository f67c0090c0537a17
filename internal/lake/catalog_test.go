//go:build unix

package lake_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/glue"
	gluetypes "github.com/aws/aws-sdk-go-v2/service/glue/types"

	"github.com/aitrail/aitrail/internal/lake"
	"github.com/aitrail/aitrail/internal/lake/laketest"
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
		root := s3(t, f)
		cfg, err := config.LoadDefaultConfig(ctx)
		if err != nil {
			t.Fatal(err)
		}
		client, n := glue.NewFromConfig(cfg), 0
		return func() string {
			n++
			db := fmt.Sprintf("lake_%d", n)
			_, err := client.CreateDatabase(ctx, &glue.CreateDatabaseInput{DatabaseInput: &gluetypes.DatabaseInput{
				Name: &db, LocationUri: aws.String(root + "/" + db + "/"),
			}})
			if err != nil {
				t.Fatal(err)
			}
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
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		t.Fatal(err)
	}
	client := glue.NewFromConfig(cfg)
	for _, db := range []string{"empty", "other", "hive"} {
		if _, err := client.CreateDatabase(ctx, &glue.CreateDatabaseInput{DatabaseInput: &gluetypes.DatabaseInput{Name: &db}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := client.CreateTable(ctx, &glue.CreateTableInput{DatabaseName: aws.String("hive"), TableInput: &gluetypes.TableInput{Name: aws.String("events")}}); err != nil {
		t.Fatal(err)
	}
	guarded := httptest.NewServer(&laketest.Catalog{Token: "s3cret"})
	defer guarded.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	create(t, "glue://other?location="+root)

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
		{at: "rest+ftp://host", says: "rest+https://HOST"},
		{at: "rest+" + gone.URL + "?location=" + root, is: lake.ErrCatalog, says: "connection refused"},
		{at: "rest+" + guarded.URL + "?location=" + root, is: lake.ErrCatalog, says: "not with these credentials"},
		{at: "rest+http://user:hunter2@host?location=" + root, says: "AITRAIL_CATALOG_TOKEN"},
		{at: "rest+" + guarded.URL + "?locaton=" + root, says: `"locaton"`},
	} {
		l, err := lake.Open(ctx, c.at, lake.Options{Create: true})
		if err == nil {
			l.Close()
			t.Errorf("a lake is made at %s", c.at)
			continue
		}
		if c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", c.at, err)
		}
	}
	if _, err := lake.Open(ctx, "glue://empty", lake.Options{}); !errors.Is(err, lake.ErrNoLake) {
		t.Errorf("Open of an empty database = %v, want ErrNoLake", err)
	}
	t.Setenv("AITRAIL_CATALOG_TOKEN", "s3cret")
	at := "rest+" + guarded.URL + "?namespace=a.b&location=" + root + "/with-token"
	commit(t, create(t, at), first...)
	if state(t, at+"&warehouse=w&scope=s") {
		t.Error("the lake has more than was committed")
	}
}
