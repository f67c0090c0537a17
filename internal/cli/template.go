package cli

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/aitrail/aitrail/internal/provision"
)

func (a *app) templateCommand() *cobra.Command {
	var f setupFlags
	var format string
	c := &cobra.Command{
		Use: "template", Short: "Print the set-up for CloudFormation or Terraform",
		Long: `Print the set-up that aitrail up makes as a CloudFormation template or a Terraform configuration, for those who set up with one of
these. Needs no AWS credentials where --account and --region are given.

The format setup is the set-up itself as JSON: what --setup of the other commands reads.`,
		Example: "  aitrail template --format terraform --account 111122223333 --region eu-central-1 > main.tf\n  aitrail template --format cloudformation > trail.yaml",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			switch format {
			case "cloudformation", "terraform", "setup":
			case "":
				return usagef("--format is missing: cloudformation, terraform and setup are known")
			default:
				return usagef("unknown format %q: cloudformation, terraform and setup are known", format)
			}
			s, err := f.resolve()
			if err != nil {
				return err
			}
			if s.Account == "" || s.Region == "" {
				at, err := a.connect(c.Context(), &f)
				if err != nil {
					return err
				}
				s = at.setup
			}
			if err := s.Validate(); err != nil {
				return usageError{err}
			}
			return a.template(format, s)
		},
	}
	f.add(c.Flags())
	c.Flags().StringVar(&format, "format", "", "`what` to print: cloudformation, terraform or setup")
	return c
}

func (a *app) template(format string, s provision.Setup) error {
	if format == "setup" {
		text, err := json.Marshal(s)
		if err != nil {
			return err
		}
		return a.printJSON(text)
	}
	if format == "terraform" {
		_, err := fmt.Fprint(a.Stdout, s.Terraform())
		return err
	}
	text, leftOut := s.CloudFormation()
	for _, r := range leftOut {
		fmt.Fprintf(a.Stderr, "warning: CloudFormation has no type for %s, which is left out: %s\n", r.Kind, otherwise(r))
	}
	_, err := fmt.Fprint(a.Stdout, text)
	return err
}

// otherwise is how to make by hand what CloudFormation has no type for.
func otherwise(r provision.Resource) string {
	if r.Kind == provision.KindDelegatedAdmin {
		return "aws cloudtrail register-organization-delegated-admin --member-account-id " + r.Name
	}
	return "aws bedrock put-model-invocation-logging-configuration --region " + r.Name + " --logging-config " +
		`'{"s3Config":{"bucketName":"` + r.Text("BucketName") + `","keyPrefix":"` + r.Text("KeyPrefix") + `"},"textDataDeliveryEnabled":true,` +
		`"imageDataDeliveryEnabled":true,"embeddingDataDeliveryEnabled":true,"videoDataDeliveryEnabled":true}'`
}
