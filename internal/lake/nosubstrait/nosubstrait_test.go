package nosubstrait_test

import (
	"strings"
	"testing"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table/substrait"
	"github.com/substrait-io/substrait-go/v8/extensions"

	_ "github.com/aitrail/aitrail/internal/lake/nosubstrait"
)

func TestNoDefaultFunctionsAreRead(t *testing.T) {
	if !extensions.GetDefaultCollectionWithNoError().URILoaded("extension:apache.iceberg:functions_set") {
		t.Error("iceberg-go has not added its functions to this collection: it was initialised before this package, and read the default ones")
	}
	if extensions.GetDefaultCollectionWithNoError().URNLoaded(extensions.SubstraitDefaultURNPrefix + "functions_comparison") {
		t.Error("the default functions were read")
	}
}

func TestFilterIsAnError(t *testing.T) {
	schema := iceberg.NewSchema(1, iceberg.NestedField{ID: 1, Name: "name", Type: iceberg.PrimitiveTypes.String})
	filter, err := iceberg.BindExpr(schema, iceberg.EqualTo(iceberg.Reference("name"), "ana"), true)
	if err != nil {
		t.Fatal(err)
	}
	_, converted, err := substrait.ConvertExpr(schema, filter, true)
	if err == nil || !strings.Contains(err.Error(), "equal") {
		t.Errorf("the filter became %v, error %v; want an error that names the function", converted, err)
	}
}
