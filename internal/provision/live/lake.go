package live

import (
	"context"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/athena"
	athenatypes "github.com/aws/aws-sdk-go-v2/service/athena/types"
	"github.com/aws/aws-sdk-go-v2/service/bedrock"
	bedrocktypes "github.com/aws/aws-sdk-go-v2/service/bedrock/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/glue"
	gluetypes "github.com/aws/aws-sdk-go-v2/service/glue/types"
	"github.com/aws/aws-sdk-go-v2/service/organizations"

	"github.com/aitrail/aitrail/internal/provision"
)

func (a *account) readDatabase(ctx context.Context, r provision.Resource) (provision.Properties, error) {
	out, err := a.glue.GetDatabase(ctx, &glue.GetDatabaseInput{Name: &r.Name})
	if HasCode(err, "EntityNotFoundException") {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	d := out.Database
	return provision.Properties{
		"Name": r.Name, "Description": aws.ToString(d.Description), "LocationUri": aws.ToString(d.LocationUri), "Tags": d.Parameters,
	}, nil
}

// writeDatabase marks the database by a parameter: that comes back with it, tags take another call.
func (a *account) writeDatabase(ctx context.Context, r provision.Resource, have provision.Properties, _ []string) (effect, error) {
	in := &gluetypes.DatabaseInput{Name: &r.Name, Description: aws.String(r.Text("Description")), LocationUri: aws.String(r.Text("LocationUri"))}
	if have == nil {
		in.Parameters = map[string]string{markTag: a.Trail}
		_, err := a.glue.CreateDatabase(ctx, &glue.CreateDatabaseInput{DatabaseInput: in})
		return something, err
	}
	in.Parameters, _ = have["Tags"].(map[string]string)
	_, err := a.glue.UpdateDatabase(ctx, &glue.UpdateDatabaseInput{Name: &r.Name, DatabaseInput: in})
	return something, err
}

func (a *account) removeDatabase(ctx context.Context, r provision.Resource, _ provision.Properties) error {
	_, err := a.glue.DeleteDatabase(ctx, &glue.DeleteDatabaseInput{Name: &r.Name})
	return err
}

func (a *account) databaseHolds(ctx context.Context, r provision.Resource) (bool, error) {
	out, err := a.glue.GetTables(ctx, &glue.GetTablesInput{DatabaseName: &r.Name, MaxResults: aws.Int32(1)})
	if err != nil {
		return true, err
	}
	return len(out.TableList) > 0, nil
}

// findWorkgroup looks through the list: GetWorkGroup's error for a missing one is that of any bad request.
func (a *account) findWorkgroup(ctx context.Context, name string) (bool, error) {
	pages := athena.NewListWorkGroupsPaginator(a.athena, &athena.ListWorkGroupsInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(page.WorkGroups, func(w athenatypes.WorkGroupSummary) bool { return aws.ToString(w.Name) == name }) {
			return true, nil
		}
	}
	return false, nil
}

func (a *account) workgroupARN() string {
	return "arn:" + a.Partition + ":athena:" + a.Region + ":" + a.Account + ":workgroup/" + a.Workgroup
}

func (a *account) readWorkgroup(ctx context.Context, r provision.Resource) (provision.Properties, error) {
	if found, err := a.findWorkgroup(ctx, r.Name); err != nil || !found {
		return nil, err
	}
	out, err := a.athena.GetWorkGroup(ctx, &athena.GetWorkGroupInput{WorkGroup: &r.Name})
	if err != nil {
		return nil, err
	}
	have := provision.Properties{"Name": r.Name, "Description": aws.ToString(out.WorkGroup.Description)}
	if c := out.WorkGroup.Configuration; c != nil {
		have["EnforceWorkGroupConfiguration"] = aws.ToBool(c.EnforceWorkGroupConfiguration)
		have["PublishCloudWatchMetricsEnabled"] = aws.ToBool(c.PublishCloudWatchMetricsEnabled)
		if o := c.ResultConfiguration; o != nil {
			have["OutputLocation"] = aws.ToString(o.OutputLocation)
			if e := o.EncryptionConfiguration; e != nil {
				m := map[string]any{"EncryptionOption": string(e.EncryptionOption)}
				if e.KmsKey != nil {
					m["KmsKey"] = *e.KmsKey
				}
				have["EncryptionConfiguration"] = m
			}
		}
	}
	tags, err := a.athena.ListTagsForResource(ctx, &athena.ListTagsForResourceInput{ResourceARN: aws.String(a.workgroupARN())})
	if err != nil {
		return nil, err
	}
	m := map[string]string{}
	for _, t := range tags.Tags {
		m[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	have["Tags"] = m
	return have, nil
}

func (a *account) writeWorkgroup(ctx context.Context, r provision.Resource, have provision.Properties, _ []string) (effect, error) {
	e, _ := r.Properties["EncryptionConfiguration"].(map[string]any)
	option, _ := e["EncryptionOption"].(string)
	encryption := &athenatypes.EncryptionConfiguration{EncryptionOption: athenatypes.EncryptionOption(option)}
	if key, ok := e["KmsKey"].(string); ok {
		encryption.KmsKey = &key
	}
	location, description := r.Text("OutputLocation"), r.Text("Description")
	enforce, metrics := aws.Bool(r.Bool("EnforceWorkGroupConfiguration")), aws.Bool(r.Bool("PublishCloudWatchMetricsEnabled"))
	if have == nil {
		_, err := a.athena.CreateWorkGroup(ctx, &athena.CreateWorkGroupInput{
			Name: &r.Name, Description: &description, Tags: athenaTags(a.marked(r)),
			Configuration: &athenatypes.WorkGroupConfiguration{
				EnforceWorkGroupConfiguration: enforce, PublishCloudWatchMetricsEnabled: metrics,
				ResultConfiguration: &athenatypes.ResultConfiguration{OutputLocation: &location, EncryptionConfiguration: encryption},
			},
		})
		return something, err
	}
	_, err := a.athena.UpdateWorkGroup(ctx, &athena.UpdateWorkGroupInput{
		WorkGroup: &r.Name, Description: &description,
		ConfigurationUpdates: &athenatypes.WorkGroupConfigurationUpdates{
			EnforceWorkGroupConfiguration: enforce, PublishCloudWatchMetricsEnabled: metrics,
			ResultConfigurationUpdates: &athenatypes.ResultConfigurationUpdates{OutputLocation: &location, EncryptionConfiguration: encryption},
		},
	})
	if err == nil {
		_, err = a.athena.TagResource(ctx, &athena.TagResourceInput{ResourceARN: aws.String(a.workgroupARN()), Tags: athenaTags(r.Tags())})
	}
	return something, err
}

func athenaTags(tags map[string]string) (list []athenatypes.Tag) {
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, athenatypes.Tag{Key: &k, Value: aws.String(tags[k])})
	}
	return list
}

// removeWorkgroup fails when somebody has saved queries in it, which are not the set-up's to delete.
func (a *account) removeWorkgroup(ctx context.Context, r provision.Resource, _ provision.Properties) error {
	_, err := a.athena.DeleteWorkGroup(ctx, &athena.DeleteWorkGroupInput{WorkGroup: &r.Name})
	return err
}

func (a *account) readInvocationLogging(ctx context.Context, r provision.Resource) (provision.Properties, error) {
	out, err := a.bedrock.GetModelInvocationLoggingConfiguration(ctx, &bedrock.GetModelInvocationLoggingConfigurationInput{})
	if err != nil {
		return nil, err
	}
	c := out.LoggingConfig
	if c == nil {
		return nil, nil
	}
	have := provision.Properties{
		"TextDataDeliveryEnabled": aws.ToBool(c.TextDataDeliveryEnabled), "ImageDataDeliveryEnabled": aws.ToBool(c.ImageDataDeliveryEnabled),
		"EmbeddingDataDeliveryEnabled": aws.ToBool(c.EmbeddingDataDeliveryEnabled), "VideoDataDeliveryEnabled": aws.ToBool(c.VideoDataDeliveryEnabled),
		"audio": c.AudioDataDeliveryEnabled, "log group": c.CloudWatchConfig,
	}
	if c.S3Config != nil {
		have["BucketName"], have["KeyPrefix"] = aws.ToString(c.S3Config.BucketName), aws.ToString(c.S3Config.KeyPrefix)
	}
	if have["BucketName"] == r.Text("BucketName") { // it has no tags; that it writes to the set-up's bucket marks it
		have["Tags"] = map[string]string{markTag: a.Trail}
	}
	return have, nil
}

// writeInvocationLogging leaves a log group that Bedrock writes to besides, and audio, which Terraform and Pulumi don't know.
func (a *account) writeInvocationLogging(ctx context.Context, r provision.Resource, have provision.Properties, _ []string) (effect, error) {
	on := func(name string) *bool { return aws.Bool(r.Bool(name)) }
	group, _ := have["log group"].(*bedrocktypes.CloudWatchConfig)
	audio, _ := have["audio"].(*bool)
	in := &bedrock.PutModelInvocationLoggingConfigurationInput{LoggingConfig: &bedrocktypes.LoggingConfig{
		S3Config: &bedrocktypes.S3Config{BucketName: aws.String(r.Text("BucketName")), KeyPrefix: aws.String(r.Text("KeyPrefix"))}, CloudWatchConfig: group,
		TextDataDeliveryEnabled: on("TextDataDeliveryEnabled"), ImageDataDeliveryEnabled: on("ImageDataDeliveryEnabled"),
		EmbeddingDataDeliveryEnabled: on("EmbeddingDataDeliveryEnabled"), VideoDataDeliveryEnabled: on("VideoDataDeliveryEnabled"), AudioDataDeliveryEnabled: audio,
	}}
	// Bedrock tries the bucket, whose new policy takes a while to be seen.
	return something, eventually(ctx, func() error {
		_, err := a.bedrock.PutModelInvocationLoggingConfiguration(ctx, in)
		return err
	}, "ValidationException")
}

func (a *account) removeInvocationLogging(ctx context.Context, _ provision.Resource, have provision.Properties) error {
	group, _ := have["log group"].(*bedrocktypes.CloudWatchConfig)
	audio, _ := have["audio"].(*bool)
	if group == nil {
		_, err := a.bedrock.DeleteModelInvocationLoggingConfiguration(ctx, &bedrock.DeleteModelInvocationLoggingConfigurationInput{})
		return err
	}
	on := func(name string) *bool { v, _ := have[name].(bool); return &v }
	_, err := a.bedrock.PutModelInvocationLoggingConfiguration(ctx, &bedrock.PutModelInvocationLoggingConfigurationInput{LoggingConfig: &bedrocktypes.LoggingConfig{
		CloudWatchConfig: group, TextDataDeliveryEnabled: on("TextDataDeliveryEnabled"), ImageDataDeliveryEnabled: on("ImageDataDeliveryEnabled"),
		EmbeddingDataDeliveryEnabled: on("EmbeddingDataDeliveryEnabled"), VideoDataDeliveryEnabled: on("VideoDataDeliveryEnabled"), AudioDataDeliveryEnabled: audio,
	}})
	return err
}

func (a *account) readDelegatedAdmin(ctx context.Context, r provision.Resource) (provision.Properties, error) {
	pages := organizations.NewListDelegatedAdministratorsPaginator(a.orgs, &organizations.ListDelegatedAdministratorsInput{ServicePrincipal: aws.String("cloudtrail.amazonaws.com")})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, d := range page.DelegatedAdministrators {
			if aws.ToString(d.Id) == r.Name {
				return provision.Properties{"MemberAccountId": r.Name}, nil
			}
		}
	}
	return nil, nil
}

func (a *account) writeDelegatedAdmin(ctx context.Context, r provision.Resource, _ provision.Properties, _ []string) (effect, error) {
	_, err := a.trail.RegisterOrganizationDelegatedAdmin(ctx, &cloudtrail.RegisterOrganizationDelegatedAdminInput{MemberAccountId: &r.Name})
	if HasCode(err, "AccountRegisteredException") {
		err = nil
	}
	return something, err
}
