package lake

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/aws/aws-sdk-go-v2/aws"
	awsretry "github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/aws-sdk-go-v2/service/glue/types"
	"github.com/aws/smithy-go"
	"github.com/google/uuid"
)

// Parameters of an Iceberg table in Glue, as all of Iceberg's programs have them.
const (
	glueType     = "table_type"
	glueIceberg  = "ICEBERG"
	glueMetadata = "metadata_location"
	gluePrevious = "previous_metadata_location"
	glueFieldID  = "iceberg.field.id"
	glueOptional = "iceberg.field.optional"
	glueCurrent  = "iceberg.field.current"
)

// maxComment is how long Glue lets a column's comment be.
const maxComment = 255

// glueCatalog is a database of AWS Glue's Data Catalog. A table there names its metadata file; it is changed only upon the
// version of the entry that was read, so of two writers one succeeds.
//
// iceberg-go's own catalog reads and writes by way of a registry of file systems, not through the lake's disk.
type glueCatalog struct {
	ctx    context.Context
	client *glue.Client
	db     string
	d      *disk
}

var _ tableCatalog = (*glueCatalog)(nil)

func openGlue(ctx context.Context, db string, d *disk, backoff time.Duration) (tableCatalog, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("AWS configuration: %w", err)
	}
	if backoff > 0 {
		cfg.Retryer = func() aws.Retryer {
			return awsretry.NewStandard(func(o *awsretry.StandardOptions) { o.MaxBackoff = backoff })
		}
	}
	if cfg.Region == "" {
		return nil, errors.New("no Region: set AWS_REGION, or a Region in the profile")
	}
	return &glueCatalog{ctx, glue.NewFromConfig(cfg), db, d}, nil
}

func (g *glueCatalog) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("AWS Glue's %w, database %q: %w", ErrCatalog, g.db, err)
}

// entry returns a table's entry. ErrNoLake if there is none.
func (g *glueCatalog) entry(ctx context.Context, name string) (*types.Table, error) {
	out, err := g.client.GetTable(ctx, &glue.GetTableInput{DatabaseName: &g.db, Name: &name})
	if notFound := new(types.EntityNotFoundException); errors.As(err, &notFound) {
		return nil, fmt.Errorf("%w: AWS Glue has no table %s in database %q", ErrNoLake, name, g.db)
	}
	if err != nil {
		return nil, g.wrap(err)
	}
	if p := out.Table.Parameters; !strings.EqualFold(p[glueType], glueIceberg) || p[glueMetadata] == "" {
		return nil, g.wrap(fmt.Errorf("table %s isn't an Iceberg table", name))
	}
	return out.Table, nil
}

// locate implements tableCatalog.
func (g *glueCatalog) locate(name string) (string, bool, error) {
	t, err := g.entry(g.ctx, name)
	if err == nil {
		at := path.Dir(path.Dir(strings.Replace(t.Parameters[glueMetadata], "://", ":/", 1))) // of TABLE/metadata/FILE
		return strings.Replace(at, ":/", "://", 1), true, nil
	}
	if !errors.Is(err, ErrNoLake) {
		return "", false, err
	}
	out, err := g.client.GetDatabase(g.ctx, &glue.GetDatabaseInput{Name: &g.db})
	if notFound := new(types.EntityNotFoundException); errors.As(err, &notFound) {
		return "", false, fmt.Errorf("%w %q in AWS Glue, Region %s", ErrNoDatabase, g.db, g.client.Options().Region)
	}
	if err != nil {
		return "", false, g.wrap(err)
	}
	at := strings.TrimRight(aws.ToString(out.Database.LocationUri), "/")
	if at == "" {
		return "", false, nil
	}
	return at + "/" + name, false, nil
}

// load implements tableCatalog.
func (g *glueCatalog) load(name, known string) (version, error) {
	t, err := g.entry(g.ctx, name)
	if err != nil {
		return version{}, err
	}
	at := t.Parameters[glueMetadata]
	if at == known {
		return version{location: at}, nil
	}
	b, err := g.d.read(g.d.path(at))
	if err != nil {
		return version{}, fmt.Errorf("metadata of table %s: %w", name, err)
	}
	meta, err := table.ParseMetadataBytes(b)
	if err != nil {
		return version{}, fmt.Errorf("metadata %s: %w", at, err)
	}
	return version{meta, at}, nil
}

// create implements tableCatalog.
func (g *glueCatalog) create(name string, meta table.Metadata) error {
	at, err := g.write(name, meta, "")
	if err != nil {
		return err
	}
	_, err = g.client.CreateTable(g.ctx, &glue.CreateTableInput{DatabaseName: &g.db, TableInput: tableInput(name, meta, at, &types.Table{})})
	if exists := new(types.AlreadyExistsException); errors.As(err, &exists) { // another made it, or an answer was lost
		return nil
	}
	return g.wrap(err)
}

// metadataNumber is the number that names of metadata files begin with, where a catalog has them.
var metadataNumber = regexp.MustCompile(`/([0-9]{1,9})-[^/]*\.metadata\.json$`)

// write writes a metadata file, which no entry names yet.
func (g *glueCatalog) write(name string, meta table.Metadata, before string) (string, error) {
	n := 0
	if m := metadataNumber.FindStringSubmatch(before); m != nil {
		n, _ = strconv.Atoi(m[1]) // digits
		n++
	}
	b, err := g.d.metadata.encode(meta)
	if err != nil {
		return "", err
	}
	at := g.d.name(join(g.d.root, name, "metadata", fmt.Sprintf("%05d-%s.metadata.json", n, uuid.New())))
	return at, g.d.WriteFile(at, b)
}

// commit implements tableCatalog.
func (g *glueCatalog) commit(ctx context.Context, base *loaded, _ []table.Requirement, updates []table.Update) (version, error) {
	entry, err := g.entry(ctx, base.name)
	if err != nil {
		return version{}, err
	}
	if entry.Parameters[glueMetadata] != base.MetadataLocation() {
		return version{}, fmt.Errorf("%w: table %s has a newer version", table.ErrCommitFailed, base.name)
	}
	meta, err := table.UpdateTableMetadata(base.Metadata(), updates, base.MetadataLocation())
	if err != nil {
		return version{}, err
	}
	at, err := g.write(base.name, meta, base.MetadataLocation())
	if err != nil {
		return version{}, err
	}
	_, err = g.client.UpdateTable(ctx, &glue.UpdateTableInput{
		DatabaseName: &g.db, TableInput: tableInput(base.name, meta, at, entry),
		VersionId: entry.VersionId, SkipArchive: aws.Bool(true),
	})
	var refused smithy.APIError
	switch {
	case err == nil:
		return version{meta, at}, nil
	case errors.As(err, new(*types.ConcurrentModificationException)):
		return version{}, fmt.Errorf("%w: %w", table.ErrCommitFailed, err)
	case errors.As(err, &refused) && refused.ErrorFault() == smithy.FaultClient:
		return version{}, g.wrap(err)
	}
	return version{}, fmt.Errorf("%w: %w", errUnknown, g.wrap(err))
}

// tableInput describes a table to Glue. What others have added to the entry stays.
func tableInput(name string, meta table.Metadata, at string, old *types.Table) *types.TableInput {
	parameters := maps.Clone(old.Parameters)
	if parameters == nil {
		parameters = map[string]string{}
	}
	if before := parameters[glueMetadata]; before != "" {
		parameters[gluePrevious] = before
	}
	parameters[glueType], parameters[glueMetadata] = glueIceberg, at
	return &types.TableInput{
		Name: &name, TableType: aws.String("EXTERNAL_TABLE"), Parameters: parameters,
		Description: old.Description, Owner: old.Owner, Retention: old.Retention,
		StorageDescriptor: &types.StorageDescriptor{Location: aws.String(meta.Location()), Columns: glueColumns(meta.CurrentSchema())},
	}
}

// glueColumns describes columns. Queries don't depend on it: engines read the metadata.
func glueColumns(schema *iceberg.Schema) []types.Column {
	var columns []types.Column
	for _, f := range schema.Fields() {
		c := types.Column{Name: aws.String(f.Name), Type: aws.String(glueTypeOf(f.Type)), Parameters: map[string]string{
			glueFieldID: strconv.Itoa(f.ID), glueOptional: strconv.FormatBool(!f.Required), glueCurrent: "true",
		}}
		if f.Doc != "" {
			c.Comment = aws.String(strings.ToValidUTF8(f.Doc[:min(len(f.Doc), maxComment)], ""))
		}
		columns = append(columns, c)
	}
	return columns
}

// glueTypeOf returns the Hive type of a column's type.
func glueTypeOf(t iceberg.Type) string {
	switch t := t.(type) {
	case iceberg.BooleanType, iceberg.DateType:
		return t.String()
	case iceberg.Int32Type:
		return "int"
	case iceberg.Int64Type:
		return "bigint"
	case iceberg.Float64Type:
		return "double"
	case iceberg.TimestampType, iceberg.TimestampTzType:
		return "timestamp"
	case *iceberg.ListType:
		return "array<" + glueTypeOf(t.Element) + ">"
	case *iceberg.MapType:
		return "map<" + glueTypeOf(t.KeyType) + "," + glueTypeOf(t.ValueType) + ">"
	case *iceberg.StructType:
		var fields []string
		for _, f := range t.FieldList {
			fields = append(fields, f.Name+":"+glueTypeOf(f.Type))
		}
		return "struct<" + strings.Join(fields, ",") + ">"
	}
	return "string" // ids too
}
